"""A Django application: authors and their books, which a shop with an admin would have."""

from __future__ import annotations

from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=40, db_index=True)
    born = models.DateField(null=True)
    active = models.BooleanField(default=True)
    seen = models.DateTimeField(null=True)
    notes = models.JSONField(default=dict)
    remark = models.CharField(max_length=30, default="")

    class Meta:
        ordering = ("name", "id")


class Book(models.Model):
    author = models.ForeignKey(Author, models.CASCADE, db_constraint=False, related_name="books")
    title = models.CharField(max_length=120)
    price = models.DecimalField(max_digits=8, decimal_places=2, null=True)
    duration = models.DurationField(null=True)
    cover = models.BinaryField(null=True)
    code = models.UUIDField(null=True)
    rating = models.FloatField(null=True)
    pages = models.PositiveSmallIntegerField(null=True)

    class Meta:
        ordering = ("title", "id")
        indexes = (models.Index(fields=["title", "pages"], name="by_title"),)
