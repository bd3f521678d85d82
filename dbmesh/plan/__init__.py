"""Plans: route template, SQL templates and merge stages of one statement shape; bound with each call's values."""
