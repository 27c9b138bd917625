"""Write an ECG as a DICOM waveform: 12-lead, General or Ambulatory ECG, explicit VR, little endian."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgclip.ecg import ECG, EcgclipError
from ecgclip.files import replacing
from ecgclip.io.dicom import LEAD_NUMBERS, MEASUREMENTS
from ecgclip.io.digital import MISSING, Digital, digitise

if TYPE_CHECKING:
    from pydicom import Dataset

TWELVE_LEAD, GENERAL, AMBULATORY = (f"1.2.840.10008.5.1.4.1.1.9.{end}" for end in ("1.1", "1.2", "1.3"))
MAX_TWELVE_LEAD = 16384  # samples
MAX_TEXT, MAX_LONG_TEXT = 1024, 10240  # characters of a statement, of the comments
UNITS = {"heart_rate": ("/min", "beats per minute"), "axis": ("deg", "degree"), "ms": ("ms", "millisecond")}


def write_dicom(ecg: ECG, path: Path) -> None:
    """Write an ECG as a DICOM file, at 1 µV where its range allows; NaN is the padding value.

    Statements and measurements are annotations; the age is in years, or in months below two years.

    Raises
    ------
    EcgclipError
        A sample is beyond 9 V, or pydicom is not installed.
    """
    try:
        from pydicom import Dataset
        from pydicom.dataset import FileMetaDataset
        from pydicom.uid import ExplicitVRLittleEndian, generate_uid
    except ImportError:
        raise EcgclipError(f"{path}: writing DICOM needs pydicom: pip install 'ecgclip[dicom]'") from None
    data = Dataset()
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SOPClassUID, data.SOPInstanceUID = _sop_class(ecg), generate_uid()
    data.StudyInstanceUID, data.SeriesInstanceUID = generate_uid(), generate_uid()
    data.Modality, data.SeriesNumber, data.InstanceNumber, data.StudyID = "ECG", 1, 1, ""
    data.AccessionNumber, data.ReferringPhysicianName = "", ""
    _describe(ecg.metadata, data)
    data.AcquisitionContextSequence = []
    data.WaveformAnnotationSequence = _annotations(ecg)
    data.WaveformSequence = [_group(ecg, digitise(ecg.signal))]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta = meta
    with replacing(path) as partial:
        data.save_as(partial, enforce_file_format=True)


def _sop_class(ecg: ECG) -> str:
    """12-lead ECG up to 16384 samples; General ECG from 200 Hz on; else Ambulatory ECG."""
    if ecg.sampling_rate < 200:
        return AMBULATORY
    return TWELVE_LEAD if len(ecg.leads) == 12 and ecg.signal.shape[1] <= MAX_TWELVE_LEAD else GENERAL


def _describe(metadata: dict, data: Dataset) -> None:
    """The patient, the device and the time."""
    age = metadata.get("age")
    data.PatientName, data.PatientID, data.PatientBirthDate = "", _short(metadata.get("patient", "")), ""
    data.PatientSex = {"female": "F", "male": "M"}.get(metadata.get("sex") or "", "")
    data.PatientAge = "" if age is None else f"{int(age):03d}Y" if age >= 2 else f"{round(age * 12):03d}M"
    data.PatientComments = "\n".join(metadata.get("comments", ()))[:MAX_LONG_TEXT]
    data.Manufacturer, data.ManufacturerModelName = "", _short(metadata.get("device", ""))
    try:
        began = datetime.fromisoformat(metadata.get("time") or "")
    except ValueError:
        began = None
    day, time = (f"{began:%Y%m%d}", f"{began:%H%M%S}") if began else ("", "")
    data.AcquisitionDateTime = day + time
    data.ContentDate, data.ContentTime, data.StudyDate, data.StudyTime = day, time, day, time


def _short(text: str) -> str:
    """At most 64 characters, and no backslash, which parts values."""
    return text.replace("\\", "/")[:64].strip()


def _code(value: str, scheme: str, meaning: str) -> list[Dataset]:
    from pydicom import Dataset

    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return [code]


def _group(ecg: ECG, digital: Digital) -> Dataset:
    """The multiplex group: all leads."""
    from pydicom import Dataset

    group = Dataset()
    group.MultiplexGroupLabel, group.WaveformOriginality = "RHYTHM", "ORIGINAL"
    group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = ecg.signal.shape
    group.SamplingFrequency = f"{ecg.sampling_rate:.12g}"
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 16, "SS"
    group.add_new("WaveformPaddingValue", "OW", MISSING.to_bytes(2, "little", signed=True))
    channels = []
    for lead, step, offset in zip(ecg.leads, digital.step, digital.offset, strict=True):
        channel = Dataset()
        number = next(n for n, name in LEAD_NUMBERS.items() if name == lead)
        channel.ChannelSourceSequence = _code(f"2:{number}", "MDC", f"Lead {lead}")
        channel.ChannelSensitivity, channel.ChannelSensitivityCorrectionFactor = str(step), "1"
        channel.ChannelSensitivityUnitsSequence = _code("uV", "UCUM", "microvolt")
        channel.ChannelBaseline, channel.ChannelSampleSkew = str(offset), "0"
        channel.WaveformBitsStored = 16
        channels.append(channel)
    group.ChannelDefinitionSequence = channels
    group.add_new("WaveformData", "OW", digital.samples.T.astype("<i2").tobytes())
    return group


def _annotations(ecg: ECG) -> list[Dataset]:
    """The device's statements and measurements."""
    from pydicom import Dataset

    def annotation(**elements: Any) -> Dataset:
        item = Dataset()
        item.AnnotationGroupNumber, item.ReferencedWaveformChannels = 0, [1, 0]
        for keyword, value in elements.items():
            setattr(item, keyword, value)
        return item

    items = [annotation(UnformattedTextValue=text[:MAX_TEXT]) for text in ecg.metadata.get("statements", ())]
    for key, value in ecg.metadata.get("measurements", {}).items():
        if key in MEASUREMENTS:
            code, *meanings = MEASUREMENTS[key]
            unit = UNITS[key if key in UNITS else key.rpartition("_")[2]]
            name = _code(code, "MDC", next(m for m in meanings if not m[0].isdigit()))
            units = _code(unit[0], "UCUM", unit[1])
            items.append(
                annotation(
                    ConceptNameCodeSequence=name, NumericValue=f"{value:.10g}", MeasurementUnitsCodeSequence=units
                )
            )
    return items
