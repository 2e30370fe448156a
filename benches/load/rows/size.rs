//! What has to be on the machine: the package, and what it needs to run.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use super::MIB;
use crate::peer::Peer;
use crate::sheet::Sheet;

/// Debian's record of what is installed.
const STATUS: &str = "/var/lib/dpkg/status";

/// A package of that record.
#[derive(Clone, Debug, Default)]
struct Package {
    version: String,
    bytes: u64,
    needs: Vec<String>,
    /// On every Debian: nobody installs it for the sake of a server.
    is_base: bool,
}

pub(crate) fn is_installed(package: &str) -> bool {
    let status = fs::read_to_string(STATUS).unwrap_or_default();
    packages(&status).contains_key(package)
}

pub(crate) fn version(package: &str) -> Option<String> {
    let status = fs::read_to_string(STATUS).ok()?;
    packages(&status).remove(package).map(|package| package.version)
}

pub(crate) fn measure(peer: &Peer, own: &Path, sheet: &mut Sheet) -> Result<(), String> {
    let name = &peer.name;
    let Some(package) = &peer.package else {
        if peer.is_bare() {
            return Ok(());
        }
        let bytes = fs::metadata(own).map_err(|e| format!("no binary: {e}"))?.len();
        sheet.add(name, "size", "program", bytes as f64 / MIB, "MiB");
        sheet.add(
            name,
            "size",
            "with what it needs beyond the base system",
            bytes as f64 / MIB,
            "MiB",
        );
        return Ok(());
    };
    let status = fs::read_to_string(STATUS).unwrap_or_default();
    let packages = packages(&status);
    let Some(alone) = packages.get(package).map(|package| package.bytes) else {
        sheet.say(name, "size", "program", "not from a package");
        return Ok(());
    };
    let wanted = std::iter::once(package).chain(&peer.also);
    let all: u64 = needed(&packages, wanted).iter().map(|name| packages[*name].bytes).sum();
    sheet.add(name, "size", "program", alone as f64 / MIB, "MiB");
    sheet.add(name, "size", "with what it needs beyond the base system", all as f64 / MIB, "MiB");
    Ok(())
}

/// These packages and all that they depend on, without what every system has.
fn needed<'a>(
    packages: &'a HashMap<String, Package>,
    wanted: impl Iterator<Item = &'a String>,
) -> HashSet<&'a str> {
    let mut found: HashSet<&str> = HashSet::new();
    let mut open: Vec<&String> = wanted.collect();
    while let Some(name) = open.pop() {
        let Some((name, package)) = packages.get_key_value(name) else { continue };
        if !package.is_base && found.insert(name) {
            open.extend(&package.needs);
        }
    }
    found
}

/// The installed packages, by name and by what they provide.
fn packages(status: &str) -> HashMap<String, Package> {
    let mut packages = HashMap::new();
    for entry in status.split("\n\n") {
        let field = |name: &str| entry.lines().find_map(|line| line.strip_prefix(name));
        let is_there = field("Status: ").is_some_and(|status| status.ends_with(" installed"));
        let (Some(name), true) = (field("Package: "), is_there) else { continue };
        let needs = ["Depends: ", "Pre-Depends: "].into_iter().filter_map(field);
        let kib: u64 = field("Installed-Size: ").and_then(|kib| kib.parse().ok()).unwrap_or(0);
        let package = Package {
            version: field("Version: ").unwrap_or_default().to_owned(),
            bytes: kib * 1024,
            needs: needs.flat_map(names).collect(),
            is_base: field("Essential: ") == Some("yes")
                || matches!(field("Priority: "), Some("required" | "important"))
                || name == "libc6",
        };
        packages.insert(name.to_owned(), package);
    }
    packages
}

/// The names in a list of dependencies. Of alternatives the first that is installed would do; all
/// of them are named, and those that are not installed drop out later.
fn names(list: &str) -> Vec<String> {
    let word = |one: &str| one.trim().split([' ', ':']).next().unwrap_or_default().to_owned();
    list.split([',', '|']).map(word).filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_package_needs_is_followed_to_the_end() {
        let entry = |name: &str, size: u32, rest: &str| {
            format!(
                "Package: {name}\nStatus: install ok installed\nInstalled-Size: {size}\n{rest}\n"
            )
        };
        let status = [
            entry("server", 100, "Version: 1.2-3\nDepends: lib (>= 1), lua5.4:any | lua5.3, libc6"),
            entry("lib", 10, "Depends: libdeep"),
            entry("libdeep", 1, "Depends: server"),
            entry("lua5.4", 5, ""),
            entry("libc6", 9000, "Priority: optional"),
            "Package: gone\nStatus: deinstall ok config-files\n".into(),
        ]
        .join("\n");
        let packages = packages(&status);
        assert_eq!(packages["server"].version, "1.2-3");
        assert!(!packages.contains_key("gone"));
        let server = "server".to_owned();
        let mut found: Vec<&str> =
            needed(&packages, std::iter::once(&server)).into_iter().collect();
        found.sort_unstable();
        assert_eq!(found, ["lib", "libdeep", "lua5.4", "server"]);
    }
}
