from rest_framework.authentication import BaseAuthentication


class SessionTokenAuthentication(BaseAuthentication):
    pass
