//! A server's processes together: the one that was started and all its descendants.

use std::collections::HashMap;
use std::fs;

use msimd::bench::usage::{Memory, Usage};

/// The process and its descendants, parents first. One that ended meanwhile is not among them.
pub(crate) fn pids(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Some(parent) = parent(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(pid) = tree.get(next) {
        tree.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    tree
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(1)?.parse().ok()
}

pub(crate) fn usage(pids: &[u32]) -> Result<Usage, String> {
    let mut sum = Usage::default();
    for (pid, one) in pids.iter().map(|pid| (*pid, Usage::of(*pid))) {
        let one = match one {
            Err(_) if has_ended(pid) => continue,
            one => one?,
        };
        sum.cpu += one.cpu;
        sum.asked += one.asked;
        sum.stored += one.stored;
    }
    Ok(sum)
}

/// A helper of a server may end between being found and being looked at.
fn has_ended(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_none_or(|(_, fields)| fields.starts_with(" Z"))
}

/// Of all of them; no proportional share where one of them does not let itself be looked into, as
/// a server that has changed its user may not.
pub(crate) fn memory(pids: &[u32]) -> Result<Memory, String> {
    let mut sum = Memory::default();
    let mut is_open = true;
    for pid in pids {
        match Memory::of(*pid) {
            Ok(one) => {
                sum.resident += one.resident;
                sum.proportional += one.proportional;
            }
            Err(why) => match resident(*pid) {
                Some(bytes) => {
                    sum.resident += bytes;
                    is_open = false;
                }
                None if has_ended(*pid) => {}
                None => return Err(why),
            },
        }
    }
    if !is_open {
        sum.proportional = 0;
    }
    Ok(sum)
}

/// What everybody may know of a process.
fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// How often their threads went to sleep of their own will, which is as often as they were woken.
pub(crate) fn sleeps(pids: &[u32]) -> u64 {
    let mut sum = 0;
    for pid in pids {
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let line =
                status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            sum += line.and_then(|line| line.trim().parse::<u64>().ok()).unwrap_or(0);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_found_with_its_parent() {
        let me = std::process::id();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let tree = pids(me);
        assert_eq!(tree[0], me);
        assert!(tree.contains(&child.id()));
        assert!(memory(&[me]).unwrap().resident > 0);
        assert!(resident(me).unwrap() > 0);
        assert!(usage(&[me]).is_ok());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!pids(me).contains(&child.id()));
        // One that has ended is nothing, and no reason to give the others up.
        let both = [me, child.id()];
        assert!(usage(&both).is_ok());
        assert!(memory(&both).unwrap().resident > 0);
    }
}
