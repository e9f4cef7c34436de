"""Characters that change how a text is shown and are not seen themselves."""

# Marks of direction, joiners and spaces of no width, ends of lines, and no characters at all: for a
# class of a regular expression.
UNSEEN = "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff"
