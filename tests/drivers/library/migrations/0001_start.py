from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = ()
    operations = (
        migrations.CreateModel(
            "Author",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(db_index=True, max_length=40)),
                ("born", models.DateField(null=True)),
                ("active", models.BooleanField(default=True)),
                ("seen", models.DateTimeField(null=True)),
                ("notes", models.JSONField(default=dict)),
            ],
            {"ordering": ("name", "id")},
        ),
        migrations.CreateModel(
            "Book",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("title", models.CharField(max_length=80)),
                ("price", models.DecimalField(decimal_places=2, max_digits=8, null=True)),
                ("length", models.DurationField(null=True)),
                ("cover", models.BinaryField(null=True)),
                ("code", models.UUIDField(null=True)),
                ("rating", models.FloatField(null=True)),
                ("pages", models.PositiveSmallIntegerField(null=True)),
                (
                    "author",
                    models.ForeignKey("library.Author", models.CASCADE, db_constraint=False, related_name="books"),
                ),
            ],
            {"ordering": ("title", "id")},
        ),
    )
