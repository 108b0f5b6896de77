"""The comparison of shipped files with those that torch's exporter writes."""

from benchmarks.served_files import row
from spaces.quantization.int8_static import Int8Static


def test_the_shipped_file_is_the_smaller_one() -> None:
    cells = row("test_efficientnet", Int8Static(), (3, 32, 32)).strip("| ").split(" | ")
    student, quantization, exported, shipped, ratio, *times = cells
    assert (student, quantization, len(times)) == ("test_efficientnet", "int8_static", 3)
    sizes = [int(cell.replace(",", "")) for cell in (shipped, exported)]
    assert f"{sizes[0] / sizes[1]:.2f}" == ratio
    assert sizes[0] < sizes[1]
