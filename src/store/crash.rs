//! A disk in memory that can lose power: for the crash tests.
