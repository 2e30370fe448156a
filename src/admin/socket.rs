//! The Unix socket's file: made for its owner alone, a dead server's removed, a living one's kept.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Listens at `path` with mode 0600, in a directory that is made where it is missing.
pub(super) fn bind(path: &Path) -> Result<UnixListener, String> {
    let cannot = |e: io::Error| {
        format!(
            "the management socket {} cannot be made: {e}; check the directory, or set admin.socket",
            path.display()
        )
    };
    if let Some(directory) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(cannot)?;
    }
    if let Ok(found) = fs::symlink_metadata(path) {
        if !found.file_type().is_socket() {
            return Err(format!(
                "{} is in the way of the management socket and is no socket; move it away or set \
                 admin.socket",
                path.display()
            ));
        }
        if UnixStream::connect(path).is_ok() {
            return Err(format!(
                "another msimd answers at {}; stop it first, or give this one another data_dir",
                path.display()
            ));
        }
        remove(path);
    }
    listen(path).map_err(cannot)
}

/// Removes a socket's file, if it is there and is one.
pub(super) fn remove(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket()) {
        // One that cannot be removed is reported by the next bind.
        let _ = fs::remove_file(path);
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    // On Linux the file takes the mode that its socket has, so that nobody else can connect even
    // between these two calls; elsewhere this fails and the mode is set afterwards.
    let _ = rustix::fs::fchmod(&socket, rustix::fs::Mode::from_raw_mode(0o600));
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    rustix::net::listen(&socket, 16)?;
    Ok(UnixListener::from(socket))
}
