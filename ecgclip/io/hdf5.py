"""HDF5 and MATLAB 7.3 files.

Known shapes are the CODE data sets' `tracings` (n, 4096, 12), one array with its sampling rate and leads beside or in
attributes, an array in each of several groups, and a vector for each lead. Of a batch only the ECG that is asked for
is read. Links, and data that lie in other files, are not followed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ecgclip.ecg import EcgclipError
from ecgclip.io import arrays
from ecgclip.io.beside import last_part, plain
from ecgclip.io.file import File
from ecgclip.io.recording import Recording

MAX_DEPTH, MAX_OBJECTS = 4, 20_000  # of groups, and of what they hold
MAX_BESIDE = 1 << 20  # bytes of a data set beside the signal
_PROBLEMS = (OSError, RuntimeError, ValueError, KeyError, TypeError, NotImplementedError)  # h5py raises these


def count_hdf5(file: File) -> int:
    """How many ECGs the file holds. Raises EcgclipError as `read_hdf5` does."""
    with _opened(file) as root:
        datasets = _datasets(root, file)
        chosen = _chosen(datasets, file)
        for name in chosen[0].names:
            _check_stored(datasets[name], math.prod(datasets[name].shape), file)
        if len(chosen) > 1:
            return len(chosen)
        first = datasets[chosen[0].names[0]]
        return arrays.held_by(chosen[0].shape, file.name, lambda place: _values(first, place, file))


def read_hdf5(file: File, index: int = 0) -> Recording:
    """Read one ECG.

    Raises
    ------
    EcgclipError
        The file is damaged or holds no data set that is an ECG, its data lie in another file, or they take far more
        memory than the file explains.
    """
    with _opened(file) as root:
        datasets = _datasets(root, file)
        chosen = _chosen(datasets, file)
        one = chosen[index if len(chosen) > 1 else 0]
        first = datasets[one.names[0]]
        axis = None
        if len(chosen) == 1 and len(one.names) == 1:
            axis = arrays.batch_axis(one.shape, file.name, lambda place: _values(first, place, file))
        held = one.shape[axis] if axis is not None else None
        beside = _beside(root, datasets, one, index, held, file)
        if len(one.names) > 1:
            signal = np.stack([_values(datasets[name], (), file).ravel() for name in one.names])
            return arrays.recording_of(signal, beside, file.name, names=list(one.names))
        if axis is None:
            return arrays.recording_of(_values(first, (), file), beside, file.name)
        several = [index, *arrays.examples(one.shape[axis])]
        signal, *others = [_values(first, arrays.part(one.shape, axis, k), file) for k in several]
        return arrays.recording_of(signal, beside, file.name, others=others)


@contextmanager
def _opened(file: File) -> Iterator[Any]:
    """The root group. What the library raises over a damaged file becomes EcgclipError."""
    import h5py

    try:
        with h5py.File(file.open(), "r") as root:
            yield root
    except _PROBLEMS as error:
        what = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise EcgclipError(f"{file.name}: damaged HDF5 file ({what})") from None


def _datasets(root: Any, file: File) -> dict[str, Any]:
    """The data sets of numbers and texts by path, in order of path; hard links only, each object once."""
    import h5py

    found: dict[str, Any] = {}
    seen: set[int] = set()
    groups = [(root, "", 0)]
    for group, path, depth in groups:
        for name in group:
            if len(seen) > MAX_OBJECTS:
                raise EcgclipError(f"{file.name}: more than {MAX_OBJECTS} objects")
            if name.startswith("#") or not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                continue
            seen.add(address)
            if isinstance(item, h5py.Dataset):
                found[f"{path}{name}"] = item
            elif isinstance(item, h5py.Group) and depth < MAX_DEPTH:
                groups.append((item, f"{path}{name}/", depth + 1))
    return dict(sorted(found.items()))


def _chosen(datasets: dict[str, Any], file: File) -> list[arrays.Chosen]:
    """What is the signal; several where groups beside each other each hold an array of the same name."""
    shapes = {name: data.shape for name, data in datasets.items() if data.shape and _is_numeric(data)}
    groups: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        if "/" in name and max(shape) >= arrays.MIN_SAMPLES:
            groups.setdefault(name.rpartition("/")[0], {})[name] = shape
    parents = {group.rpartition("/")[0] for group in groups}
    if len(groups) > 1 and len(parents) == 1 and not any(name.count("/") == 0 for name in _long(shapes)):
        return [arrays.choose_signal(inside, file.name) for inside in groups.values()]
    return [arrays.choose_signal(shapes, file.name)]


def _long(shapes: dict[str, tuple[int, ...]]) -> list[str]:
    return [name for name, shape in shapes.items() if max(shape) >= arrays.MIN_SAMPLES]


def _is_numeric(data: Any) -> bool:
    return data.dtype.kind in "fiu" and not _is_matlab_text(data)


def _is_matlab_text(data: Any) -> bool:
    return data.attrs.get("MATLAB_class") == b"char"


def _values(data: Any, where: tuple[int | slice, ...], file: File) -> np.ndarray:
    """What `where` takes of a data set; its size is checked before any of it is read."""
    if data.is_virtual or data.external:
        raise EcgclipError(f"{file.name}: {last_part(data.name)[:40]} lies in another file, which is not followed")
    taken = [n for n, k in zip(data.shape, where or [slice(None)] * data.ndim, strict=True) if isinstance(k, slice)]
    size = max(math.prod(taken), math.prod(data.chunks or (0,)))
    if size * data.dtype.itemsize > arrays.MAX_MEMORY:
        raise EcgclipError(f"{file.name}: {last_part(data.name)[:40]} takes more than 1 GiB")
    _check_stored(data, size, file)
    return np.asarray(data[where])


def _check_stored(data: Any, numbers: int, file: File) -> None:
    """Raise EcgclipError where `numbers` of a data set are far more than what the file stores of it."""
    stored = min(data.id.get_storage_size(), len(file))
    if numbers * data.dtype.itemsize > arrays.FREE_MEMORY + arrays.EXPANSION * stored:
        raise EcgclipError(f"{file.name}: {last_part(data.name)[:40]} takes far more memory than the file explains")


def _beside(
    root: Any, datasets: dict[str, Any], chosen: arrays.Chosen, index: int, held: int | None, file: File
) -> dict[str, Any]:
    """The attributes of the file, of the group and of the signal, and the small data sets beside it, by name."""
    signal = datasets[chosen.names[0]]
    group = chosen.names[0].rpartition("/")[0]
    beside: dict[str, Any] = {}
    for holder in (root, signal.parent, signal):
        for name in list(holder.attrs)[:100]:
            if holder.attrs.get_id(name).get_storage_size() <= MAX_BESIDE:
                beside[plain(name)] = holder.attrs[name]
    for name, data in datasets.items():
        if name in chosen.names or name.rpartition("/")[0] not in ("", group):
            continue
        if data.shape is not None and math.prod(data.shape) * data.dtype.itemsize <= MAX_BESIDE:
            beside.setdefault(plain(last_part(name)), _small(root, data, file))
    return beside if held is None else arrays.one_of(beside, index, held)


def _small(root: Any, data: Any, file: File) -> Any:
    """The value of a small data set; MATLAB's texts, and its cells of texts, as texts."""
    import h5py

    if data.dtype.kind == "O" and h5py.check_ref_dtype(data.dtype) is h5py.Reference:
        if data.size > arrays.MAX_CHANNELS * 4:
            return None
        texts = [root[reference] for reference in _values(data, (), file).ravel() if reference]
        found = [_small_text(text, file) for text in texts if isinstance(text, h5py.Dataset)]
        return found if all(isinstance(text, str) for text in found) else None
    if data.dtype.kind == "O" and h5py.check_string_dtype(data.dtype) is None:
        return None
    return _small_text(data, file) if _is_matlab_text(data) else _values(data, (), file)


def _small_text(data: Any, file: File) -> str | None:
    if not _is_matlab_text(data) or not data.shape or data.size > 1000 or data.dtype.kind != "u":
        return None
    return "".join(chr(code) for code in _values(data, (), file).ravel().tolist() if 0 < code < 0xD800)
