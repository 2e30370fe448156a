//! The disk under the data directory: what it is, what is left of it, and how long it will last.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statfs, statvfs};

/// File systems by the number that statfs(2) gives them.
const KINDS: [(u32, &str, Fitness); 19] = [
    (0xEF53, "ext4", Fitness::Good),
    (0x9123_683E, "btrfs", Fitness::Good),
    (0x5846_5342, "xfs", Fitness::Good),
    (0xF2F5_2010, "f2fs", Fitness::Good),
    (0x2405_1905, "ubifs", Fitness::Good),
    (0xCA45_1A4E, "bcachefs", Fitness::Good),
    (0x2FC1_2FC1, "zfs", Fitness::Good),
    (0x794C_7630, "overlayfs", Fitness::Good),
    (0x72B6, "jffs2", Fitness::Warning("it compresses and collects on every write: slow")),
    (0x4D44, "FAT", Fitness::Warning(FAT)),
    (0x2011_BAB0, "exFAT", Fitness::Warning(FAT)),
    (0x5346_544E, "NTFS", Fitness::Warning(FAT)),
    (0x0102_1994, "tmpfs", Fitness::Warning(MEMORY)),
    (0x8584_58F6, "ramfs", Fitness::Warning(MEMORY)),
    (0x6969, "NFS", Fitness::Warning(NETWORK)),
    (0xFF53_4D42, "CIFS", Fitness::Warning(NETWORK)),
    (0xFE53_4D42, "SMB", Fitness::Warning(NETWORK)),
    (0x6573_5546, "FUSE", Fitness::Warning("whether its syncs reach the disk is up to its driver")),
    (0x7371_7368, "squashfs", Fitness::Wrong("nothing can be written to it")),
];
const FAT: &str = "it knows no owners, so that everybody may read the keys, and a cut while it writes \
                   its tables may cost files: use ext4";
const MEMORY: &str = "it is gone when the power is: use a card or a stick";
const NETWORK: &str =
    "locks and syncs over a network are promises of the other side: use a disk here";

/// How often a card takes to be written over before it wears out. Makers say nothing; cheap ones
/// were found to take some hundred times, good ones some thousand.
pub(super) const OVERWRITES: u64 = 300;
/// A card writes blocks much larger than a page: what reaches the flash is a multiple of what was
/// written.
pub(super) const AMPLIFICATION: u64 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fitness {
    Good,
    Warning(&'static str),
    Wrong(&'static str),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Disk {
    pub(super) kind: &'static str,
    pub(super) fitness: Fitness,
    pub(super) read_only: bool,
    pub(super) size: u64,
    /// For those who are not root.
    pub(super) free: u64,
    /// `None` where files are not counted.
    pub(super) files_left: Option<u64>,
}

impl Disk {
    /// The one under a directory that may not be there yet.
    pub(super) fn under(directory: &Path) -> io::Result<Disk> {
        let directory = std::path::absolute(directory)?;
        let there = directory.ancestors().find(|path| path.exists());
        let there = there.map_or_else(|| PathBuf::from("/"), Path::to_path_buf);
        let space = statvfs(&there)?;
        // As wide as the machine; the numbers have 32 bits.
        let number = statfs(&there)?.f_type as u32;
        let known = KINDS.iter().find(|(known, _, _)| *known == number);
        let (kind, fitness) =
            known.map_or(("an unknown one", Fitness::Good), |(_, name, fitness)| (name, *fitness));
        Ok(Disk {
            kind,
            fitness,
            read_only: space.f_flag.contains(StatVfsMountFlags::RDONLY),
            size: space.f_blocks.saturating_mul(space.f_frsize),
            free: space.f_bavail.saturating_mul(space.f_frsize),
            files_left: (space.f_files > 0).then_some(space.f_favail),
        })
    }

    /// Years until so many bytes a day have worn it out; `None` for longer than anybody asks.
    pub(super) fn years(&self, bytes_a_day: u64) -> Option<u64> {
        let takes = self.size.saturating_mul(OVERWRITES) / AMPLIFICATION;
        let years = takes.checked_div(bytes_a_day.saturating_mul(365))?;
        (years < 100).then_some(years)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_known_also_where_the_directory_is_to_come() {
        let home = tempfile::tempdir().unwrap();
        let disk = Disk::under(&home.path().join("not/yet/there")).unwrap();
        assert!(disk.size > 0 && disk.free <= disk.size && !disk.read_only);
        let proc = Disk::under(Path::new("/proc")).unwrap();
        assert_eq!((proc.kind, proc.fitness), ("an unknown one", Fitness::Good));
        let memory = Path::new("/dev/shm");
        if memory.is_dir() {
            let disk = Disk::under(memory).unwrap();
            assert!(disk.kind != "tmpfs" || disk.fitness != Fitness::Good, "{disk:?}");
        }
    }

    #[test]
    fn a_card_lasts_by_what_is_written_a_day() {
        let disk = Disk {
            kind: "ext4",
            fitness: Fitness::Good,
            read_only: false,
            size: 16 << 30,
            free: 8 << 30,
            files_left: None,
        };
        assert_eq!(disk.years(0), None);
        assert_eq!(disk.years(1 << 20), None);
        assert_eq!(disk.years(1 << 30), Some(3));
        assert_eq!(disk.years(u64::MAX), Some(0));
    }
}
