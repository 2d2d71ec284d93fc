from rest_framework.routers import SimpleRouter

from accounts.views import SessionViewSet, SignInViewSet

router = SimpleRouter()
router.trailing_slash = "/?"
router.register("auth", SignInViewSet, basename="auth")
router.register("auth", SessionViewSet, basename="session")

urlpatterns = router.urls
