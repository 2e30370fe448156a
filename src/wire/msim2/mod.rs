//! mSIM 2.0: one packet, several carriers.
