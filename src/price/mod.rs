//! Dated price tables, and usage to an itemised bill. Money first appears here.
