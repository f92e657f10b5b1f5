//! Huge pages of this machine.

use crate::cleanup::{self, Guard};

/// Huge pages set aside; what was there before is restored when dropped, and when the program is
/// told to stop.
pub struct HugePages {
    _restore: Option<Guard>,
}

impl HugePages {
    const COUNT: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
    const FREE: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";

    /// Makes sure that `pages` of 2 MiB are free; none where that cannot be had.
    pub fn reserve(pages: u64) -> Option<Self> {
        let read = |path: &str| {
            std::fs::read_to_string(path)
                .ok()?
                .trim()
                .parse::<u64>()
                .ok()
        };
        let (count, free) = (read(Self::COUNT)?, read(Self::FREE)?);
        if free >= pages {
            return Some(HugePages { _restore: None });
        }
        std::fs::write(Self::COUNT, (count + pages - free).to_string()).ok()?;
        let restore =
            cleanup::on_drop(move || drop(std::fs::write(Self::COUNT, count.to_string())));
        let reserved = HugePages {
            _restore: Some(restore),
        };
        (read(Self::FREE)? >= pages).then_some(reserved)
    }
}
