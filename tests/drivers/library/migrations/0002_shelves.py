from typing import Any

from django.db import migrations, models


def fill(apps: Any, schema_editor: Any) -> None:
    authors = apps.get_model("library", "Author").objects.using(schema_editor.connection.alias)
    for number in range(1, 9):
        authors.create(id=number, name=f"author {number}", remark="made by a migration")


def empty(apps: Any, schema_editor: Any) -> None:
    apps.get_model("library", "Author").objects.using(schema_editor.connection.alias).all().delete()


class Migration(migrations.Migration):
    dependencies = (("library", "0001_start"),)
    operations = (
        migrations.AddField("Author", "remark", models.CharField(max_length=30, default="")),
        migrations.AddIndex("Book", models.Index(fields=["title", "pages"], name="by_title")),
        migrations.AlterField("Book", "title", models.CharField(max_length=120)),
        migrations.RunPython(fill, empty),
        migrations.RenameField("Book", "length", "duration"),
    )
