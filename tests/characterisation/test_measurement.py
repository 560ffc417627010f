"""Tables of reads: what a file or a Dataset may say, and what raises and where."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray as xr

from amsim import circuits
from amsim.characterisation import table as measurement
from amsim.characterisation.table import measured_macro, read_table, write_table
from amsim.characterisation.transfer import characterise

GOOD = "column,count,mean,sigma\n" + "\n".join(
    f"{column},{count},{count + 0.25 * column},{0.5 + column}" for column in (0, 1) for count in (-2, 0, 2)
)


def file_of(folder, text):
    path = folder / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def dataset_of(mean, sigma=None, counts=(-2, 0, 2)):
    mean = np.asarray(mean, float)
    sigma = np.full(mean.shape, 0.1) if sigma is None else np.asarray(sigma, float)
    dims = ("die", "column", "count")
    return xr.Dataset({"count_read": (dims, mean), "count_sigma": (dims, sigma)}, {"count": np.asarray(counts)})


def test_a_file_is_read_in_any_order_with_remarks(tmp_path):
    text = "\ufeff# chip 7\r\n# reads: 40\r\n\r\n" + '"sigma", "count","mean","die" ,"column"\r\n'
    rows = [(die, column, count) for die in (5, 3) for column in (9, 1) for count in (1, -3, 3, -1)]
    for die, column, count in rows:
        text += f"0.5,{count:+d},{count + die + column / 10:e},{die},{column}\r\n"
    table = read_table(file_of(tmp_path, text))
    assert table["count_read"].dims == ("die", "column", "count")
    assert [table[axis].values.tolist() for axis in ("die", "column", "count")] == [[3, 5], [1, 9], [-3, -1, 1, 3]]
    want = table["count"].values + np.array([3, 5])[:, None, None] + np.array([0.1, 0.9])[None, :, None]
    np.testing.assert_allclose(table["count_read"], want, rtol=1e-12)
    np.testing.assert_array_equal(table["count_sigma"], np.full((2, 2, 4), 0.5))
    assert table.attrs == {"reads": 40, "rows": 3}
    assert table["count_sigma"].attrs["units"] == "1"


def test_a_file_without_dies_is_one_die(tmp_path):
    table = read_table(str(file_of(tmp_path, GOOD)))
    assert dict(table.sizes) == {"die": 1, "column": 2, "count": 3}
    np.testing.assert_array_equal(table["count_read"][0], [[-2, 0, 2], [-1.75, 0.25, 2.25]])
    np.testing.assert_array_equal(table["count_sigma"][0], [[0.5] * 3, [1.5] * 3])


@pytest.mark.parametrize("header", ["column,count,count_read,count_sigma", "column,count,mean,count_sigma"])
def test_the_words_of_datasets_are_read_as_those_of_files(tmp_path, header):
    assert GOOD.count("column,count,mean,sigma") == 1
    other = GOOD.replace("column,count,mean,sigma", header)
    expected = read_table(file_of(tmp_path, GOOD))
    xr.testing.assert_identical(read_table(file_of(tmp_path, other)), expected)
    names = dict(zip(["mean", "sigma"], ["count_read", "count_sigma"], strict=True))
    table = expected.rename({name: short for short, name in names.items()})
    xr.testing.assert_identical(read_table(table), expected)


def test_columns_that_the_how_to_names_are_read(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "how_tos" / "06_chip_measurement.md").read_text()
    documented = re.findall(r"`(die,[\w,]+)`", text)
    assert documented
    for header in documented:
        lines = [f"0,{column},{count},{count},0.5" for column in (0, 1) for count in (-2, 0, 2)]
        table = read_table(file_of(tmp_path, "\n".join([header, *lines])))
        assert dict(table.sizes) == {"die": 1, "column": 2, "count": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"must have a header with .* but is empty"),
        ("# only a remark\n\n", r"but is empty"),
        ("column,count,mean,sigma\n", r"must have points below its header"),
        ("column,count,mean\n0,1,1\n", r"Line 1 must be a header of die, column, count, mean, sigma"),
        ("column,count,mean,sigma,sigma\n", r"Line 1 must be a header"),
        ("column,count,mean,sigma,volts\n", r"Line 1 must be a header"),
        ("0,1,1.0,0.1\n", r"Line 1 must be a header"),
        (GOOD + "\n0,2,2,0.5", r"Line 8 repeats line 4: die 0, column 0, count 2"),
        (GOOD + "\n1,2,3", r"Line 8 must have 4 cells .* but has 3"),
        (GOOD.replace("1,0,0.25", "1,0,abc"), r"Line 6: mean must be a finite number, but is 'abc'"),
        (GOOD.replace("1,0,0.25", "1,0,nan"), r"Line 6: mean must be a finite number, but is 'nan'"),
        (GOOD.replace("1,0,0.25", "1,0,1_0"), r"Line 6: mean must be a finite number"),
        (GOOD.replace("1,0,0.25", "1,0,inf"), r"Line 6: mean must be a finite number"),
        (GOOD.replace("1,0,0.25", "1,0,"), r"Line 6: mean must be a finite number, but is ''"),
        (GOOD.replace("0.25,1.5", "0.25,-1.5"), r"Line 6: sigma must be at least 0, but is -1\.5"),
        (GOOD.replace("1,0,0.25", "1,0.0,0.25"), r"Line 6: count must be a whole number up to 16777216, but is '0\.0'"),
        (GOOD.replace("1,0,0.25", "1,99999999,0.25"), r"Line 6: count must be a whole number"),
        (GOOD.replace("1,0,0.25", "1," + "9" * 5000 + ",0.25"), r"Line 6: count must be a whole number"),
        (GOOD.replace("1,0,0.25", "-1,0,0.25"), r"Line 6: die and column must be at least 0"),
        (GOOD.replace("\n1,0,0.25,1.5", ""), r"no line for die 0, column 1, count 0"),
        (GOOD + "\n0,1,1,1\n1,1,1,1", r"Counts must be sums of 2 products of -1 and \+1 .* but one is 1"),
        ("# rows: 4\n" + GOOD, r"Counts must reach from -4 to 4, but reach from -2 to 2"),
        ("# rows: many\n" + GOOD, r"Line 1: rows must be a whole number"),
        ("# reads: 0\n" + GOOD, r"Line 1: reads must be at least 1"),
        (b"column,count,mean,sigma\n0,1,\xff,1", r"must be text in UTF-8, but byte 28"),
    ],
)
def test_a_wrong_file_raises_and_says_where(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_table(file_of(tmp_path, text))


def test_a_few_lines_cannot_ask_for_a_large_array(tmp_path):
    lines = [f"{n},{n},{2 * n},0,1" for n in range(4000)]
    with pytest.raises(ValueError, match=r"no line for die 0, column 0, count 2"):
        read_table(file_of(tmp_path, "die,column,count,mean,sigma\n" + "\n".join(lines)))


def test_a_file_too_large_and_no_file_raise(tmp_path, monkeypatch):
    monkeypatch.setattr(measurement, "LARGEST_FILE", 50)
    with pytest.raises(ValueError, match=r"must have at most 50 bytes, but has \d+"):
        read_table(file_of(tmp_path, GOOD))
    for path in (tmp_path, tmp_path / "missing.csv", "/dev/zero"):
        with pytest.raises(ValueError, match="must be an existing file"):
            read_table(path)


def test_means_that_fall_beyond_their_noise_raise(tmp_path):
    """0.1 counts over 25 reads: 4 standard errors of a difference are 0.113."""
    within, beyond = [[[-2, 0.11, 0.0]]], [[[-2, 0.12, 0.0]]]
    for mean, reads, wrong in ((within, 25, False), (beyond, 25, True), (beyond, None, False)):
        table = dataset_of(mean)
        table.attrs |= {} if reads is None else {"reads": reads}
        if wrong:
            with pytest.raises(
                ValueError, match=r"at die 0, column 0, count 0 the mean 0\.12 is above 0, that of count 2"
            ):
                read_table(table)
            assert float(read_table(table, monotonic=False)["count_read"][0, 0, 1]) == 0.12
        else:
            read_table(table)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (xr.Dataset({"accuracy": 1.0}), r"must have the variables count_read and count_sigma, but has accuracy"),
        (dataset_of([[[-2, 0, np.nan]]]), r"`count_read` must be finite, but is nan at die 0, column 0, count 2"),
        (dataset_of([[[-2, 0, 2]]], [[[0, np.nan, 0]]]), r"`count_sigma` must be .*one read has no sigma.* count 0"),
        (dataset_of([[[-2, 0, 2]]], [[[0, 0, -1]]]), r"`count_sigma` must be .* but is -1 at die 0, column 0, count 2"),
        (dataset_of([[[-2, 0, 2]]], counts=(-2, 0, 0)), r"Coordinate `count` must have each value once"),
        (dataset_of([[[-2, 0, 2]]], counts=(-2.0, 0.0, 2.0)), r"Coordinate `count` must be whole numbers"),
        (dataset_of([[[-2, 0, 2]]], counts=(-2, 0, 4)), r"Counts must reach from -4 to 4"),
        (dataset_of(np.zeros((0, 1, 3))), r"must have at least one die"),
        (dataset_of([[[-2, 0, 2]]]).rename(column="line"), r"`count_read` must have dims \(die, column, count\)"),
    ],
)
def test_a_wrong_dataset_raises_and_says_where(table, message):
    with pytest.raises(ValueError, match=message):
        read_table(table)


def test_rows_may_be_said_beside_the_table():
    with pytest.raises(ValueError, match=r"Counts must reach from -4 to 4"):
        read_table(dataset_of([[[-2, 0, 2]]]), rows=4)
    with pytest.raises(ValueError, match=r"sums of 3 products"):
        read_table(dataset_of([[[-2, 0, 2]]]), rows=3)
    assert read_table(dataset_of([[[-2, 0, 2]]]), rows=2).attrs == {"rows": 2}


def test_a_table_written_and_read_is_the_same(tmp_path):
    array = circuits.SwitchedCapacitor(rows=8, columns=3)
    found = characterise(array, key=jax.random.key(0), dies=2, reads=5)
    path = tmp_path / "table.csv"
    write_table(found, path)
    written, direct = read_table(path), read_table(found)
    xr.testing.assert_identical(written, direct)
    assert written.attrs == {"rows": 8, "reads": 5}
    np.testing.assert_array_equal(written["count_read"], found["count_read"])
    shuffled = found.isel(die=[1, 0], column=[2, 0, 1], count=slice(None, None, -1)).transpose("count", "die", ...)
    xr.testing.assert_identical(read_table(shuffled), direct)
    with pytest.raises(ValueError, match="must have the variables"):
        write_table(xr.Dataset(), path)


def test_a_macro_of_a_table_has_its_rows_and_columns(tmp_path):
    settings = {"evaluation_energy": 1e-12, "evaluation_time": 1e-7, "array_area": 0.0, "supply": 0.6}
    macro = measured_macro(file_of(tmp_path, GOOD), **settings, input_bits=2)
    assert (macro.rows, macro.columns, macro.counts, macro.input_bits) == (2, 2, (-2, 0, 2), 2)
    one = measured_macro(dataset_of([[[-2, 0.5, 2]]]), columns=7, **settings)
    np.testing.assert_allclose(one.matmul(np.array([[1, -1]]), np.ones((2, 9))), np.full((1, 9), 0.5))
    with pytest.raises(ValueError, match=r"either one column or 3"):
        measured_macro(file_of(tmp_path, GOOD), columns=3, **settings)
