//! Posting: what was noted in the daybook is entered into `recent`, in order of arrival.
//!
//! It comes first in every transaction. So whatever else a transaction does finds all messages in
//! tables, and with its commit none of them counts any more where it was noted.

use std::ops::Bound;

use redb::{CursorError, Value};

use crate::store::arrivals::Place;
use crate::store::daybook;
use crate::store::noted::Note;
use crate::store::tables::{Opened, Shelf};
use crate::store::tlv::{self, Fields, Flaw, number, put_number};
use crate::store::{StoreError, Tx, failure, open_or_skip};

/// What `meta` says of the daybook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Posted {
    /// The newest message that came out of it into a table.
    pub(super) last: u64,
    /// What is noted since then is of this round; 0: nothing is.
    pub(super) round: u64,
}

fn put_posted(posted: Posted, out: &mut Vec<u8>) {
    put_number(out, 1, posted.last);
    put_number(out, 2, posted.round);
}

fn read_posted(mut fields: Fields<'_>) -> Result<Posted, Flaw> {
    let mut posted = Posted::default();
    while let Some((tag, bytes)) = fields.next()? {
        match tag {
            1 => posted.last = number(bytes)?,
            2 => posted.round = number(bytes)?,
            _later => {}
        }
    }
    Ok(posted)
}

/// What has come out of the daybook. A row that cannot be read says that nothing has.
pub(super) fn posted(tables: &impl Shelf) -> Result<Posted, StoreError> {
    Ok(open_or_skip(tables.meta()?.row("noted", read_posted))?.unwrap_or_default())
}

impl Tx<'_> {
    /// Enters what was noted in this turn and before.
    pub(super) fn post(&mut self) -> Result<(), StoreError> {
        let noted = self.arrivals.noted();
        let own = std::mem::take(&mut self.state.noted);
        if noted.is_empty() && own.is_empty() && self.daybook.has_round() {
            return Ok(());
        }
        let recent = self.tables.recent_mut()?;
        let mut last = 0;
        // None of them is seen by anybody as long as this is held, and none is added.
        noted.all(|noted| {
            let notes = noted.iter().chain(&own);
            last = notes.clone().last().map_or(0, |note| note.place.1);
            enter(recent, notes)
        })?;
        let posted = Posted { last, round: daybook::new_round()? };
        self.state.round = Some(posted.round);
        // Whatever is there, be it damaged.
        let mut record = Vec::new();
        put_posted(posted, &mut record);
        tlv::seal(&mut record, <&str>::as_bytes(&"noted").as_ref());
        self.tables.meta_mut()?.insert("noted", &record)
    }
}

/// Puts notes behind what is there. One cursor for all of them leaves full pages.
fn enter<'n>(
    recent: &mut Opened<'_, Place>,
    notes: impl Iterator<Item = &'n Note>,
) -> Result<(), StoreError> {
    let mut astray = Vec::new();
    let mut end = recent.writable()?.upper_bound_mut(Bound::<Place>::Unbounded).map_err(failure)?;
    for note in notes {
        let (chat, id) = note.place;
        match end.insert_before((id, chat), &*note.record) {
            Ok(()) => {}
            Err(CursorError::UnorderedKey) => astray.push(note),
            Err(error) => return Err(failure(error)),
        }
    }
    end.close().map_err(failure)?;
    // Only where ids have rotted. It must not keep everybody from writing.
    for note in astray {
        let (chat, id) = note.place;
        log::error!("entered out of order: recent {:?}", (id, chat));
        recent.insert((id, chat), &note.record)?;
    }
    Ok(())
}
