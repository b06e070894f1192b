class Blocking:
    rows: int
    cols: int
    parts: int
    strip: int
    dots: bool
    pack_a: bool
    pack_b: bool
    panels_first: bool
    few_rows: bool
    keep: bool
    why: str

def choose_blocking(
    m: int, n: int, k: int, by_row: bool, by_column: bool, size: int, plain: bool, packs: int, depth: int
) -> Blocking: ...
