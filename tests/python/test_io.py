"""Model files: exact round trips, all or nothing, and no trust in what a file claims."""

import json
import os
import zipfile

import numpy as np
import pytest
from interpreter import output, run
from special import special_files

from fastlec import io
from fastlec.course.models import SoftmaxModel
from fastlec.io import ModelError
from fastlec.preprocessing import Preprocessing


@pytest.fixture
def model():
    rng = np.random.default_rng(1)
    return SoftmaxModel(rng.normal(size=(3, 6)), rng.normal(size=3), Preprocessing(255.0, (2, 3)))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.npz"


def refused(path, text):
    with pytest.raises(ModelError, match=text) as info:
        io.load_model(path)
    assert str(path) in str(info.value)
    assert "\n" not in str(info.value)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("image_shape", [None, (2, 3), (1, 2, 3)])
def test_round_trip_is_exact(path, model, dtype, image_shape):
    model = SoftmaxModel(np.asfortranarray(model.W, dtype), model.b.astype(dtype), Preprocessing(16.0, image_shape))
    io.save_model(path, model)
    found = io.load_model(path)
    for name in ("W", "b"):
        np.testing.assert_array_equal(getattr(found, name), getattr(model, name), strict=True)
    assert (found.image_shape, found.scale) == (image_shape, 16.0)
    assert found.theta.tolist() == [*model.W.ravel().tolist(), *model.b.tolist()]


@pytest.mark.parametrize("name", ["model.safetensors", "MODEL.SafeTensors"])
def test_softmax_models_as_safetensors(tmp_path, model, name):
    library = pytest.importorskip("safetensors.numpy")
    io.save_model(tmp_path / name, model)
    found = io.load_model(tmp_path / name)
    np.testing.assert_array_equal(found.theta, model.theta, strict=True)
    assert (found.image_shape, found.scale) == ((2, 3), 255.0)
    np.testing.assert_array_equal(library.load_file(tmp_path / name)["W"], model.W)


@pytest.mark.parametrize("name", ["model.pt", "model.h5", "model.txt", "model.npz.gz"])
def test_names_of_other_formats_are_refused(tmp_path, model, name):
    with pytest.raises(ModelError, match=r"a model's name ends with \.npz or \.safetensors"):
        io.save_model(tmp_path / name, model)
    with pytest.raises(ModelError, match=r"a model's name ends with \.npz or \.safetensors"):
        io.check_path(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_numpy_alone_reads_the_file(path, model):
    io.save_model(path, model)
    with np.load(path, allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["W"], model.W)
        meta = json.loads(str(archive["meta"]))
    expected = {"format": "fastlec", "version": 1, "kind": "softmax", "n_classes": 3, "dtype": "float64", "scale": 255.0}
    assert meta == {**expected, "image_shape": [2, 3], "label": "last"}


def test_arrays_of_any_name_and_shape(path):
    arrays = {"0.W1": np.ones((2, 3, 1), np.float32), "file": np.array(2.5), "steps": np.arange(4), "empty": np.ones((0, 2))}
    io.save_arrays(path, arrays, {"kind": "network", "layers": ["dense", {"size": 3}]})
    found, meta = io.load_arrays(path)
    assert meta["layers"] == ["dense", {"size": 3}]
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_same_model_same_bytes(path, model):
    io.save_model(path, model)
    first = path.read_bytes()
    io.save_model(path, model)
    assert path.read_bytes() == first


@pytest.mark.parametrize("stage", ["write_array", "fsync", "replace"])
def test_failure_leaves_the_old_file_and_no_other(path, model, monkeypatch, stage):
    io.save_model(path, model)
    before = path.read_bytes()

    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format if stage == "write_array" else io.os, stage, fail)
    with pytest.raises(ModelError, match=r"model\.npz: cannot be written: No space left on device"):
        io.save_model(path, SoftmaxModel(model.W + 1, model.b))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_interrupt_leaves_the_old_file_and_no_other(path, model, monkeypatch):
    io.save_model(path, model)
    before = path.read_bytes()

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(io.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        io.save_model(path, model)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file_and_no_other(path, model):
    """A limit on the size of files, as a quota is: for both formats the same error, and the same one line."""
    pytest.importorskip("safetensors")
    io.save_model(path, model)
    before = path.read_bytes()
    output(
        f"""
        import resource
        import numpy as np
        from fastlec import Dense, Network, io

        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, -1))
        for name in ({str(path)!r}, {str(path.with_suffix(".safetensors"))!r}):
            for save in (Network([Dense(100, 100)]).save, lambda name: io.save_text(name, "text" * 5000)):
                try:
                    save(name)
                except io.ModelError as error:
                    assert str(error) == f"{{name}}: cannot be written: File too large", error
                else:
                    raise AssertionError("saved")
        """
    )
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_what_a_killed_process_left_is_cleared_by_the_next(path, model):
    for _ in range(3):
        done = run(
            f"""
            import os
            from fastlec import io

            with io.replacing({str(path)!r}) as file:
                file.write(b"half")
                file.flush()
                os._exit(9)
            """
        )
        assert done.returncode == 9
        assert len(list(path.parent.iterdir())) == 1
    io.save_model(path, model)
    assert list(path.parent.iterdir()) == [path]


def test_what_is_being_written_or_somebody_elses_is_not_cleared(path, model):
    others = [path.with_name(name) for name in (".model.npz.1234abcd.tmp", ".fastlec-1234.tmp", "fastlec-0123456789abcdef.tmp")]
    for other in others:
        other.touch()
    pipe = path.with_name(".fastlec-0123456789abcdef.tmp")
    os.mkfifo(pipe)
    with io.replacing(path) as file:
        file.write(b"first")
        io.save_model(path.with_name("second.npz"), model)
    assert path.read_bytes() == b"first"
    assert all(other.exists() for other in [*others, pipe])


def test_a_name_that_is_cleared_before_it_is_locked_is_not_used(path, monkeypatch):
    flock, cleared = io.fcntl.flock, []

    def late(file, how):
        if not cleared:
            (name,) = path.parent.iterdir()
            name.unlink()
            cleared.append(name)
        flock(file, how)

    monkeypatch.setattr(io.fcntl, "flock", late)
    io.save_text(path, "text")
    assert cleared
    assert path.read_text() == "text"


def test_file_systems_without_locks(path, model, monkeypatch):
    def refuse(*args):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(io.fcntl, "flock", refuse)
    left = path.with_name(".fastlec-0123456789abcdef.tmp")
    left.touch()
    io.save_model(path, model)
    assert sorted(path.parent.iterdir()) == [left, path]


def test_a_replaced_file_keeps_who_may_read_it(path, model):
    io.save_model(path, model)
    path.chmod(0o600)
    io.save_model(path, model)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("links", [True, False])
def test_free_names_count_up(path, model, monkeypatch, links):
    if not links:  # file systems without hard links

        def refuse(*args):
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(io.os, "link", refuse)
    path.write_bytes(b"old")
    path.chmod(0o400)
    path.with_name("model-2.npz").symlink_to("nowhere")
    path.with_name("model-3.npz").mkdir()
    target = io.FreeName(path)
    io.save_model(target, model)
    assert str(target) == os.fspath(target) == str(path.with_name("model-4.npz"))
    assert io.load_model(target).scale == 255
    assert path.read_bytes() == b"old"
    assert len(list(path.parent.iterdir())) == 4


def test_a_free_name_is_never_taken_from_another(path, model, monkeypatch):
    """Not even where the other file comes at the last moment."""
    link = os.link

    def late(source, name):
        if not path.exists():
            path.write_bytes(b"other")
        link(source, name)

    monkeypatch.setattr(io.os, "link", late)
    target = io.FreeName(path)
    io.save_model(target, model)
    assert path.read_bytes() == b"other"
    assert target.path == path.with_name("model-2.npz")


def test_a_link_is_followed_not_replaced(path, model, tmp_path):
    link = tmp_path / "latest.npz"
    link.symlink_to(path)
    io.save_model(link, model)
    assert link.is_symlink()
    assert io.load_model(path).scale == 255


def test_paths_that_cannot_be_written(tmp_path, model):
    with pytest.raises(ModelError, match="no folder"):
        io.save_model(tmp_path / "nowhere" / "model.npz", model)
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, text in ((folder, "not a regular file"), ("a\0b", "null byte"), (tmp_path / ("a" * 300), "File name too long")):
        with pytest.raises(ModelError, match=text):
            io.save_model(name, model)
        with pytest.raises(ModelError, match=text):
            io.writable(name)
    assert list(tmp_path.iterdir()) == [folder]


def test_a_name_of_any_length_that_the_system_takes(tmp_path, model):
    path = tmp_path / ("a" * 251 + ".npz")
    io.save_model(path, model)
    assert io.load_model(path).scale == 255


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_what_may_not_be_written(tmp_path, model, path):
    io.save_model(path, model)
    path.chmod(0o400)
    with pytest.raises(ModelError, match="cannot be written: Permission denied"):
        io.save_model(path, model)
    tmp_path.chmod(0o500)
    with pytest.raises(ModelError, match="cannot be written: Permission denied"):
        io.writable(tmp_path / "new.npz")


def test_a_model_that_would_not_load_is_not_saved(path, model):
    for bad in (
        SoftmaxModel(model.W * np.nan, model.b),
        SoftmaxModel(model.W, model.b[:2]),
        SoftmaxModel(model.W, model.b, Preprocessing(image_shape=(5, 5))),
    ):
        with pytest.raises(ModelError):
            io.save_model(path, bad)
    assert not path.exists()


def test_files_that_are_no_models(path, model):
    refused(path, "No such file")
    io.save_model(path, model)
    content = path.read_bytes()
    for broken in (b"", b"PK", content[:40], content[: len(content) // 2], content[:-1]):
        path.write_bytes(broken)
        refused(path, "as .npz")
    path.write_bytes(content.replace(model.b.tobytes(), (model.b + 1).tobytes()))
    refused(path, "CRC")
    np.savez(path, W=model.W, b=model.b)
    refused(path, "no fastlec model")


def test_every_flipped_byte_is_refused_or_harmless(path, model):
    io.save_model(path, model)
    content = path.read_bytes()
    for position in range(len(content)):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x41]) + content[position + 1 :])
        try:
            found = io.load_model(path)
        except ModelError:
            continue
        np.testing.assert_array_equal(found.W, model.W)
        np.testing.assert_array_equal(found.b, model.b)


def write_meta(path, arrays, **changes):
    meta = {"kind": "softmax", "n_classes": 3, "dtype": "float64", "image_shape": [2, 3], "scale": 1.0}
    io.save_arrays(path, arrays, {**meta, **changes})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"format": "other"}, "format"),
        ({"version": 2}, "version 1"),
        ({"kind": "network"}, "kind 'network'"),
        ({"n_classes": 4}, "4 classes"),
        ({"dtype": "float32"}, "expected float32"),
        ({"dtype": "object"}, "dtype 'object'"),
        ({"dtype": ["float64"]}, "dtype"),
        ({"image_shape": [2, 4]}, "image shape"),
        ({"image_shape": [-2, -3]}, "image shape"),
        ({"image_shape": "23"}, "image shape"),
        ({"scale": 0.0}, "scale"),
        ({"scale": float("nan")}, "scale"),
        ({"scale": 10**400}, "scale"),
        ({"n_classes": 10**400}, "classes"),
        ({"scale": float("inf")}, "scale"),
        ({"scale": "1"}, "scale"),
    ],
)
def test_facts_that_do_not_fit_are_refused(path, model, changes, text):
    write_meta(path, {"W": model.W, "b": model.b}, **changes)
    refused(path, text)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"b": None}, r"arrays \['W'\]"),
        ({"V": np.ones(1)}, "arrays"),
        ({"W": np.ones(18)}, "W has shape"),
        ({"b": np.ones(4)}, r"b has shape \(4,\); expected \(3,\)"),
        ({"b": np.ones((3, 1))}, "b has shape"),
        ({"W": np.ones((3, 6), np.float32)}, "W is float32"),
        ({"W": np.ones((3, 6), int)}, "W is int64"),
        ({"W": np.full((3, 6), np.nan)}, "W holds NaN"),
        ({"b": np.array([0, np.inf, 0])}, "b holds NaN or infinity"),
        ({"b": np.array(["a", "b", "c"])}, "dtype"),
        ({"b": np.array("text")}, "b has dtype <U4; expected real numbers"),
        ({"b": np.ones(3, complex)}, "complex"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(path, model, changes, text):
    arrays = {name: array for name, array in {"W": model.W, "b": model.b, **changes}.items() if array is not None}
    write_meta(path, arrays)
    refused(path, text)


def test_pickled_objects_are_refused(path):
    np.savez(path, W=np.array([{}], dtype=object))
    refused(path, "object")


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000000000), }", "its header says"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296, 2), }", "its header says"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -2), }", "its header says"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }", "its header says"),
        ("{'descr': '|V0', 'fortran_order': False, 'shape': (1000000000000,), }", "dtype"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", "dtype object"),
        ("{'descr': '<f8', 'shape': (2,), }", "no valid npy header"),
        ("nonsense", "no valid npy header"),
        ("(" * 5000, "no valid npy header"),
        ("-" * 9000 + "1", "no valid npy header"),
    ],
)
def test_headers_are_checked_before_memory_is_asked_for(path, header, text):
    array = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode() + bytes(16)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("W.npy", array)
    refused(path, text)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.timeout(60)
@pytest.mark.usefixtures("folder")
def test_only_files_are_read(suffix):
    """The rest is refused at once: some would never end, others would block."""
    pytest.importorskip("safetensors")
    for name, text in special_files(suffix).items():
        refused(name, f"cannot be read as {suffix}: (it is )?{text}")


def test_archives_that_are_too_large_or_ambiguous(path, model, monkeypatch):
    np.savez_compressed(path, W=np.zeros(10_000_000))
    monkeypatch.setattr(io, "memory_size", lambda: 1_000_000)
    refused(path, "memory")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("W.npy", b"\x93NUMPY\1\0")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("W.npy", b"\x93NUMPY\1\0")
    refused(path, "npz")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive, archive.open("W.npy", "w") as member:
        np.lib.format.write_array(member, np.ones(3))
    refused(path, "NumPy does not write")


@io.register_model("pair")
class Pair:
    """A kind of models of one's own."""

    def __init__(self, a, text):
        self.a, self.text = a, text

    def to_file(self):
        return {"a": self.a}, {"text": self.text}

    @classmethod
    def from_file(cls, path, arrays, meta):
        io.requirement(path)(arrays["a"].shape == (2,), "a is no pair")
        return cls(arrays["a"], meta["text"])


@pytest.mark.parametrize("end", ["npz", "safetensors"])
def test_kinds_of_models_register_themselves(tmp_path, end):
    if end == "safetensors":
        pytest.importorskip("safetensors")
    path = tmp_path / f"pair.{end}"
    io.save_model(path, Pair(np.array([1.0, 2.0]), "two"))
    found = io.load_model(path)
    assert (type(found), found.a.tolist(), found.text, io.file_kind(path)) == (Pair, [1, 2], "two", "pair")
    before = path.read_bytes()
    with pytest.raises(ModelError, match=r"a is no pair$"):
        io.save_model(path, Pair(np.zeros(3), "three"))
    assert path.read_bytes() == before


def test_kinds_that_nobody_has_registered(tmp_path):
    io.save_arrays(tmp_path / "a.npz", {"a": np.zeros(2)}, {"kind": "triple"})
    with pytest.raises(ModelError, match=r"a.npz: holds a model of kind 'triple'; expected .*'softmax'"):
        io.load_model(tmp_path / "a.npz")
    with pytest.raises(TypeError, match=r"^model is a dict; expected a model of a kind that files hold"):
        io.save_model(tmp_path / "a.npz", {})


def test_softmax_models_are_known_without_more_imports(tmp_path, model):
    io.save_model(tmp_path / "a.npz", model)
    code = f"from fastlec.io import load_model; print(type(load_model({str(tmp_path / 'a.npz')!r})).__name__)"
    assert output(code) == "SoftmaxModel"
