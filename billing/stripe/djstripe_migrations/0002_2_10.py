from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("djstripe", "0001_initial")]
    operations = []
