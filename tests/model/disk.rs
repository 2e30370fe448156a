//! A file in memory that outlives the store which has it open.

use std::io;
use std::sync::{Arc, Mutex};

use msimd::store::BackendSource;

#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<Vec<u8>>>);

impl BackendSource for Disk {
    fn open(&self) -> io::Result<Box<dyn redb::StorageBackend>> {
        Ok(Box::new(self.clone()))
    }

    fn exists(&self) -> bool {
        !self.0.lock().unwrap().is_empty()
    }

    /// So that messages are merged all the time.
    fn hurry(&self) -> usize {
        256
    }
}

impl redb::StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.0.lock().unwrap();
        let start = offset as usize;
        let found = bytes.get(start..start + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().unwrap().resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let start = offset as usize;
        self.0.lock().unwrap()[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }
}
