DROP TABLE audit.dead_letter_marks;
