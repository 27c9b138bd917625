"""One conformance test for all readers: every real and made file beside a second, independent reading of it."""

import pytest

pytestmark = pytest.mark.data
# Files made from one record (truth.npz): half a unit of least precision of what each stores, mV
MADE = {
    "bdf_uV.bdf": 1e-3,
    "biosig_HL7aECG.xml": 1e-3,
    "bom_crlf_quoted.csv": 1e-3,
    "columns_mV.parquet": 1e-6,
    "comment_header.csv": 1e-3,
    "cpsc_struct.mat": 1e-6,
    "ecg.npz": 1e-6,
    "edf_mV_ECG_labels.edf": 1e-3,
    "edf_multi_rate.edf": 1e-3,
    "edf_uV.edf": 1e-3,
    "edfplus_annotations.edf": 1e-3,
    "generic.h5": 1e-6,
    "ishne_12lead.ecg": 1e-3,
    "ishne_3lead_var_block.ecg": 1e-3,
    "kardia_api.json": 1e-3,
    "leads_in_rows.csv": 1e-3,
    "list_column.parquet": 1e-6,
    "mortara_eli.xml": 1e-3,
    "physionet_style.csv": 1e-3,
    "schiller.xml": 1e-3,
    "scp_uncompressed_enc0.scp": 1e-3,
    "scp_uncompressed_enc1.scp": 1e-3,
    "scp_uncompressed_enc2.scp": 1e-3,
    "semicolon_decimal_comma.csv": 1e-3,
    "signal_fs.mat": 1e-6,
    "time_and_leads.parquet": 1e-6,
    "time_ms_lead_I.csv": 1e-3,
    "v73.mat": 1e-6,
    "wfdb.hea": 1e-6,
}
