from rest_framework.routers import SimpleRouter

from accounts.views import SessionViewSet, SignInViewSet, UserViewSet

router = SimpleRouter()
router.trailing_slash = "/?"
router.register("auth", SignInViewSet, basename="auth")
router.register("auth", SessionViewSet, basename="session")
router.register("user", UserViewSet, basename="user")

urlpatterns = router.urls
