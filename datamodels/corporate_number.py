"""法人番号: the 13-digit numbers of Japan's corporations; the first digit checks the other twelve."""


def corporate_check_digit(digits: str) -> str:
    """The check digit of twelve digits: 9 less the sum, weighted 1 and 2 from the right, mod 9. Raises ValueError."""
    if len(digits) != 12 or not (digits.isascii() and digits.isdecimal()):
        raise ValueError(f"A corporate number without check digit has twelve digits, not {digits!r}.")
    total = sum(int(digit) * (1 if place % 2 == 0 else 2) for place, digit in enumerate(reversed(digits)))
    return str(9 - total % 9)


def is_corporate_number(text: str) -> bool:
    """Whether `text` is 13 ASCII digits, the first of which is the check digit of the others."""
    return len(text) == 13 and text.isascii() and text.isdecimal() and corporate_check_digit(text[1:]) == text[0]
