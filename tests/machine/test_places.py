import fsspec
import pytest

from hornbook.errors import HornbookError
from hornbook.machine.places import copy_from, is_address, opened, read_from


def test_what_is_an_address():
    assert is_address("s3://bucket/corpus")
    assert is_address("file:///corpus")
    assert not is_address("/corpus")
    assert not is_address("C:\\corpus")


def test_files_elsewhere_are_read_and_copied(tmp_path):
    fsspec.filesystem("memory").pipe("/places/a", b"0123456789")
    assert read_from("memory://places/a") == b"0123456789"
    with opened("memory://places/a") as file:
        file.seek(7)
        assert file.read() == b"789"
    copy_from("memory://places/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


@pytest.mark.parametrize("address", ["memory://places/none", "nowhere://a", "file:///none/of/these"])
def test_what_cannot_be_read_is_one_line(address):
    with pytest.raises(HornbookError, match=rf"^{address}: cannot be read") as error:
        read_from(address)
    assert "\n" not in str(error.value)
