"""The table of formats: how a file is recognised by its content, and which module reads it.

A reader is one file beside this one and one row here. Readers are imported when a file of theirs is met.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module, util

from ecgclip.ecg import EcgclipError
from ecgclip.io.file import File
from ecgclip.io.recording import Recording


@dataclass(frozen=True)
class Format:
    """A row of the table.

    Attributes
    ----------
    name : str
        As a person calls it.
    recognised : callable
        First bytes of a file → whether they are of this format.
    reader : str
        "module:function" of a function (File) → Recording; with `count`, (File, index) → Recording.
    count : str, optional
        "module:function" of a function (File) → how many ECGs the file holds.
    needs : tuple of (module, extra)
        Libraries that an extra of ecgclip installs.
    """

    name: str
    recognised: Callable[[bytes], bool]
    reader: str
    count: str | None = None
    needs: tuple[tuple[str, str], ...] = ()

    def read(self, file: File, index: int | None = None) -> Recording:
        """Read one ECG of the file. Raises EcgclipError for damage, and where `index` lacks or is too high."""
        self._check_needs(file)
        read = _function(self.reader)
        if self.count is None:
            if index is not None:
                raise EcgclipError(f"{file.name}: a file in the format {self.name} holds one ECG; leave #{index} out")
            return read(file)
        held = self.held(file)
        if index is None and held != 1:
            raise EcgclipError(
                f"{file.name}: holds {held} ECGs; name one, from {file.name}#0 to {file.name}#{held - 1}"
            )
        if not 0 <= (index or 0) < held:
            raise EcgclipError(f"{file.name}: has no ECG #{index}; it holds {held}, and the first is #0")
        return read(file, index or 0)

    def held(self, file: File) -> int:
        """How many ECGs the file holds."""
        if self.count is None:
            return 1
        self._check_needs(file)
        return _function(self.count)(file)

    def _check_needs(self, file: File) -> None:
        for module, extra in self.needs:
            if util.find_spec(module) is None:
                raise EcgclipError(f"{file.name}: reading {self.name} needs {module}: pip install 'ecgclip[{extra}]'")


def _function(path: str) -> Callable:
    module, name = path.split(":")
    return getattr(import_module(module), name)


def format_of(file: File) -> Format:
    """The format of a file, by its content.

    Raises
    ------
    EcgclipError
        It is none that is read here; the message says what it is, where that is known.
    """
    if row := format_by(file.head):
        return row
    if _starts_as_text(file.head) and _function("ecgclip.io.delimited:is_numbers")(file.head):
        return FORMATS[-1]  # who names a table knows that it is an ECG; in a folder it is not taken for one
    raise EcgclipError(
        f"{file.name}: {kind(file.head)}, no ECG in a format that is read here (docs/formats.md lists them)"
    )


def format_by(head: bytes) -> Format | None:
    """The format of a file that begins with `head`; None if it is none that is read here."""
    return next((row for row in FORMATS if row.recognised(head)), None)


def kind(head: bytes) -> str:
    """What a file that no reader takes is, for messages and counts."""
    return next((name for name, pattern in KINDS if re.match(pattern, head, re.DOTALL)), "an unknown kind of file")


# ---------------------------------------------------------------------------------------------------------------------
# How formats are recognised


def _begins(*starts: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(starts)


def _root(*names: str) -> Callable[[bytes], bool]:
    """Whether the first element of an XML document has one of these names; in UTF-8, UTF-16 or an 8-bit encoding."""
    pattern = re.compile(rf"<(?:[\w.-]+:)?({'|'.join(names)})[\s/>]")

    def recognised(head: bytes) -> bool:
        root = re.search(r"<(?![?!])[^>]*", re.sub(r"<!--.*?(-->|$)", "", _text(head), flags=re.DOTALL))
        return bool(root and pattern.match(root[0] + ">"))

    return recognised


def _text(head: bytes) -> str:
    """The beginning of a text file; empty for anything else."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head[: len(head) // 2 * 2].decode("utf-16", "ignore")
    return "" if b"\0" in head else head.decode("utf-8-sig", "replace").lstrip()


def _is_dicom(head: bytes) -> bool:
    """By the prefix after the preamble; or, without both, by a first element of group 2 or 8."""
    group, element = head[:2], head[2:4]
    return head[128:132] == b"DICM" or (group in (b"\2\0", b"\x08\0") and element[1:2] == b"\0" and len(head) > 132)


def _is_scp(head: bytes) -> bool:
    """By the name in the header of section 0, or by that section's number and protocol version."""
    return head[16:22] == b"SCPECG" or (
        head[8:10] == b"\0\0" and head[14:16] in (b"\x0a\x0a", b"\x0d\x0d", b"\x14\x14")
    )


def _is_kardia(head: bytes) -> bool:
    """JSON with a word of Kardia's near its beginning."""
    text = _text(head)
    return text.startswith("{") and bool(_KARDIA.search(text))


def _is_numpy(head: bytes) -> bool:
    """A .npy file, or a .npz file: a zip archive that begins with a .npy file."""
    if not head.startswith(b"PK\x03\x04"):
        return head.startswith(b"\x93NUMPY")
    return head[30 : 30 + int.from_bytes(head[26:28], "little")].endswith(b".npy")


def _is_matlab(head: bytes) -> bool:
    """Version 5 by its text, version 4 by a type, a size and a name that fit."""
    if head.startswith(b"MATLAB 5.0 MAT-file"):
        return True
    numbers = head[:20].count(0) >= 10 and re.match(rb"[A-Za-z]\w{0,62}\0", head[20:84])
    return bool(numbers) and _function("ecgclip.io.mat:is_mat4")(head)


def _is_hdf5(head: bytes) -> bool:
    """HDF5, which may begin after a block of the user's, such as MATLAB 7.3's."""
    return any(head[start:].startswith(b"\x89HDF\r\n\x1a\n") for start in (0, 512, 1024, 2048, 4096))


def _is_apple(head: bytes) -> bool:
    """Lines of a key and a value, then a number a line."""
    return _starts_as_text(head) and _function("ecgclip.io.apple:is_apple")(head)


def _is_table(head: bytes) -> bool:
    """A table of numbers that are samples, and not of patients, labels or features."""
    return _starts_as_text(head) and _function("ecgclip.io.delimited:is_table")(head)


def _starts_as_text(head: bytes) -> bool:
    """Whether this may be text with numbers: a cheap look, as most files of a folder are none."""
    return bool(re.search(r"\d[\s,;|]", _text(head))) and not re.match(rb"[<{]|%PDF", head)


_KARDIA = re.compile('"(recordedAt|patientID|algorithmDetermination|amplitudeResolution|mainsFrequency|data12L)"')
KINDS: tuple[tuple[str, bytes], ...] = (
    ("a picture", rb"\x89PNG|\xff\xd8\xff|GIF8|BM|II\*\0|MM\0\*|RIFF....WEBP"),
    ("a pickle, which is never loaded", rb"\x80[\x02-\x05][\x80-\x95c}\](]"),
    ("an ISHNE annotation file (beats, no signal)", rb"ANN  1\.0"),
    ("an archive: unpack it first", rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!|BZh|\xfd7zXZ"),
    ("an XML document of another kind", rb"(\xef\xbb\xbf)?\s*<"),
    ("JSON of another kind", rb"(\xef\xbb\xbf)?\s*(\{\s*[\"}]|\[\s*[\[{\"\d\]-])"),
    ("text", rb"[^\x00-\x08\x0e-\x1f\x7f]+\Z"),  # in any encoding of a byte a letter
    # words of 16 bits: the kind of a beat, 1 to 49, in the upper six bits of each; or a first comment or rhythm
    ("a PhysioNet annotation file (beats, no signal)", rb"(.[\x04-\xc7]){32}|(..){0,2}.[\x58-\x5b\x70-\x73].\xfc"),
)

FORMATS: tuple[Format, ...] = (
    Format("DICOM", _is_dicom, "ecgclip.io.dicom:read_dicom"),
    Format("SCP-ECG", _is_scp, "ecgclip.io.scp:read_scp"),
    Format("ISHNE Holter", _begins(b"ISHNE1.0"), "ecgclip.io.ishne:read_ishne"),
    Format("EDF", _begins(b"0       "), "ecgclip.io.edf:read_edf"),
    Format("BDF", _begins(b"\xffBIOSEMI"), "ecgclip.io.edf:read_edf"),
    Format("MUSE XML", _root("RestingECG"), "ecgclip.io.muse:read_muse"),
    Format("CardioSoft XML", _root("CardiologyXML"), "ecgclip.io.cardiosoft:read_cardiosoft"),
    Format("HL7 aECG", _root("AnnotatedECG"), "ecgclip.io.aecg:read_aecg"),
    Format("Philips XML", _root("restingecgdata"), "ecgclip.io.philips:read_philips"),
    Format("Mortara XML", _root("ECG"), "ecgclip.io.mortara:read_mortara"),
    Format("Schiller XML", _root(r"[\w.]*SchillerEDI", "examdescript"), "ecgclip.io.schiller:read_schiller"),
    Format("Kardia JSON", _is_kardia, "ecgclip.io.kardia:read_kardia"),
    Format("MATLAB", _is_matlab, "ecgclip.io.mat:read_mat", "ecgclip.io.mat:count_mat"),
    Format("NumPy", _is_numpy, "ecgclip.io.npy:read_npy", "ecgclip.io.npy:count_npy"),
    Format("HDF5", _is_hdf5, "ecgclip.io.hdf5:read_hdf5", "ecgclip.io.hdf5:count_hdf5", (("h5py", "hdf5"),)),
    Format(
        "Parquet",
        _begins(b"PAR1"),
        "ecgclip.io.parquet:read_parquet",
        "ecgclip.io.parquet:count_parquet",
        (("pyarrow", "parquet"),),
    ),
    Format("PDF", lambda head: b"%PDF-" in head[:1024], "ecgclip.io.pdf:read_pdf", needs=(("pypdfium2", "pdf"),)),
    # Last, as they have no signature
    Format("Apple Health", _is_apple, "ecgclip.io.apple:read_apple"),
    Format("text", _is_table, "ecgclip.io.delimited:read_delimited"),
)
