//! A place where a backup is taken apart and checked: opening a database may write to it, and a
//! backup stays as it is. Gone at the end.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::backup::Progress;
use super::{Failure, complain, desk};
use crate::admin::trouble;
use crate::archive::{self, DATABASE, Manifest};
use crate::config::Config;
use crate::store::{OpenError, Options, Verdict};

/// See the module.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

/// What was found in a backup.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) verdict: Verdict,
    /// `None` of a database alone, as earlier versions wrote them.
    pub(super) manifest: Option<Manifest>,
}

impl Scratch {
    pub(super) fn beside(file: &Path) -> Result<Scratch, Failure> {
        let parent = file.parent().filter(|p| !p.as_os_str().is_empty());
        Scratch::within(parent.unwrap_or(Path::new(".")))
    }

    pub(super) fn within(directory: &Path) -> Result<Scratch, Failure> {
        let path = directory.join(format!("msimd-check-{}.tmp", std::process::id()));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|e| failed(&path, "cannot be made", &e))?;
        Ok(Scratch(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Takes a backup apart, keeps what is wanted of it beside the database, and reads every record
    /// of that.
    pub(super) fn check(
        &self,
        file: &Path,
        config: &Config,
        want: impl Fn(&str) -> bool,
    ) -> Result<Checked, Failure> {
        let copy = self.0.join(DATABASE);
        let cannot = |e| failed(file, "cannot be copied for a check", &e);
        let manifest = if archive::is_archive(file).map_err(cannot)? {
            let manifest = archive::unpack(file, &self.0, |name| name == DATABASE || want(name))
                .map_err(|why| Failure::Failed(format!("{} {why}", file.display())))?;
            Some(manifest)
        } else {
            copy_privately(file, &copy).map_err(cannot)?;
            None
        };
        // A disk that is nearly full is no reason not to check.
        let options = Options { free_space: 0, ..desk::options(config)? };
        let store = desk::open(&self.0, options)
            // What is wrong is wrong with the original, whose copy this is.
            .map_err(|error| Failure::Failed(trouble::sentence(&of(file, error))))?;
        let mut progress = Progress::default();
        let verdict = store.reader().verify(&mut |done| progress.hear(done));
        let closed = store.close();
        let verdict = verdict.map_err(|e| Failure::Failed(format!("{}: {e}", file.display())))?;
        closed.map_err(|e| Failure::Failed(e.to_string()))?;
        let synced = File::open(&copy).and_then(|f| f.sync_all());
        synced.map_err(|e| failed(&copy, "cannot be synced", &e))?;
        // It is no part of a backup, and opening made it.
        let _ = fs::remove_file(self.0.join("msimd.ballast"));
        Ok(Checked { verdict, manifest })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            complain(&format!("msimd: {} could not be removed: {error}", self.0.display()));
        }
    }
}

/// Copies and syncs. Of the original's mode nothing is kept: the copy is its owner's alone and can
/// be written.
fn copy_privately(from: &Path, to: &Path) -> io::Result<()> {
    let mut copy = File::options().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut File::open(from)?, &mut copy)?;
    copy.sync_all()
}

/// The same about another file.
fn of(file: &Path, error: OpenError) -> OpenError {
    let path = file.to_owned();
    match error {
        OpenError::Busy(_) => OpenError::Busy(path),
        OpenError::Foreign { why, .. } => OpenError::Foreign { path, why },
        OpenError::Damaged { why, .. } => OpenError::Damaged { path, why },
        OpenError::Io { source, .. } => OpenError::Io { path, source },
        OpenError::Newer { .. } | OpenError::Store(_) => error,
    }
}

pub(super) fn failed(path: &Path, what: &str, error: &io::Error) -> Failure {
    Failure::Failed(format!("{} {what}: {error}", path.display()))
}
