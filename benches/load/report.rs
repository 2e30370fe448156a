//! What a row has to say beside its figures.

use std::cell::{Cell, RefCell};

/// Of one server, from row to row.
#[derive(Debug, Default)]
pub(crate) struct Report {
    starts: Cell<usize>,
    notes: RefCell<Vec<String>>,
}

impl Report {
    /// The server let somebody in.
    pub(crate) fn has_started(&self) {
        self.starts.set(self.starts.get() + 1);
    }

    /// Whether it ever did: one that does not start for one row will not start for the next.
    pub(crate) fn was_ever_up(&self) -> bool {
        self.starts.get() > 0
    }

    /// Something that a reader of the figures has to know, and that is no reason to have none.
    pub(crate) fn note(&self, what: impl Into<String>) {
        let what = what.into();
        let mut notes = self.notes.borrow_mut();
        if !notes.contains(&what) {
            notes.push(what);
        }
    }

    /// The notes since the last time.
    pub(crate) fn take(&self) -> Vec<String> {
        self.notes.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_made_once() {
        let report = Report::default();
        report.note("it did not stop");
        report.note("it did not stop");
        report.note("strace may not trace here");
        assert_eq!(report.take(), ["it did not stop", "strace may not trace here"]);
        assert!(report.take().is_empty());
    }
}
