//! Counting what the disk is asked for, and the disk of a database that lies nowhere.

use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use redb::backends::InMemoryBackend;
use redb::{BackendError, StorageBackend};

use crate::store::Work;
use crate::store::daybook::Region;

/// What the disk was asked for.
#[derive(Debug, Default)]
pub(super) struct Meter {
    pub(super) commits: AtomicU64,
    syncs: AtomicU64,
    bytes: AtomicU64,
}

impl Meter {
    pub(super) fn work(&self) -> Work {
        Work {
            commits: self.commits.load(Ordering::Relaxed),
            syncs: self.syncs.load(Ordering::Relaxed),
            bytes_written: self.bytes.load(Ordering::Relaxed),
        }
    }
}

/// Counts, and passes everything on.
#[derive(Debug)]
pub(super) struct Metered {
    disk: Box<dyn StorageBackend>,
    meter: Arc<Meter>,
    /// Whether syncs are passed on, too.
    syncs: bool,
}

impl Metered {
    pub(super) fn new(disk: Box<dyn StorageBackend>, meter: &Arc<Meter>) -> Metered {
        Metered { disk, meter: meter.clone(), syncs: true }
    }

    /// For a file that is worth nothing before it is closed, synced and renamed: one sync then does
    /// for all.
    pub(super) fn unsynced(disk: Box<dyn StorageBackend>) -> Metered {
        Metered { disk, meter: Arc::default(), syncs: false }
    }
}

impl StorageBackend for Metered {
    fn len(&self) -> io::Result<u64> {
        self.disk.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.disk.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        if !self.syncs {
            return Ok(());
        }
        self.meter.syncs.fetch_add(1, Ordering::Relaxed);
        self.disk.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.meter.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        self.disk.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.disk.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.disk.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.disk.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.disk.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.disk.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.disk.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.disk.query_lock_range(start, end)
    }
}

/// Memory that outlives the `Database` opened on it, so that a reopened store finds its data.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory(Arc<InMemoryBackend>, Arc<Mutex<Vec<u8>>>);

impl Memory {
    /// What lies beside the database.
    pub(super) fn region(&self, meter: &Arc<Meter>) -> MemoryRegion {
        MemoryRegion { bytes: self.1.clone(), meter: meter.clone() }
    }
}

/// The daybook of a database in memory; it grows as it is written.
pub(super) struct MemoryRegion {
    bytes: Arc<Mutex<Vec<u8>>>,
    meter: Arc<Meter>,
}

impl Region for MemoryRegion {
    fn is_there(&self) -> bool {
        true
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        out.fill(0);
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let there = bytes.get(offset as usize..).unwrap_or_default();
        let length = there.len().min(out.len());
        out[..length].copy_from_slice(&there[..length]);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.meter.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let (start, end) = (offset as usize, offset as usize + data.len());
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[start..end].copy_from_slice(data);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.meter.syncs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl StorageBackend for Memory {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        StorageBackend::read(&*self.0, offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        StorageBackend::write(&*self.0, offset, data)
    }
}
