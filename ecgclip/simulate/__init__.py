"""Twelve-lead ECGs of known truth: `simulate("af", seed=1)` -> ECG in mV, `write_record(ecg, path)` -> a WFDB record.

A heartbeat is a sum of Gaussian waves, as in McSharry et al., "A dynamical model for generating synthetic
electrocardiogram signals" (IEEE Trans Biomed Eng, 2003). A wave has one course in time and eight amplitudes, one for
each independent lead; III, aVR, aVL and aVF follow exactly from I and II (Einthoven, Goldberger). Times are in ms,
amplitudes in mV. Shapes were set by hand with the median beats of PTB-XL beside them. A seed is a patient: the dipole
that the leads see is turned a little in the frontal and horizontal planes, through the lead field of Dower et al., "On
deriving the electrocardiogram from vectorcardiographic leads" (Clin Cardiol, 1980), and gains, intervals and rate
differ as in healthy people. `CONDITIONS` says what can be simulated, one row a condition.
"""

from ecgclip.io.write_wfdb import write_record
from ecgclip.simulate.conditions import CONDITIONS
from ecgclip.simulate.synthesis import simulate

__all__ = ["CONDITIONS", "simulate", "write_record"]
