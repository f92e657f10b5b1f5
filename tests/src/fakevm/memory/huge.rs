//! Huge pages of this machine.

/// Huge pages set aside; what was there before is restored when dropped.
#[derive(Debug)]
pub struct HugePages {
    before: Option<u64>,
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
            return Some(HugePages { before: None });
        }
        std::fs::write(Self::COUNT, (count + pages - free).to_string()).ok()?;
        let reserved = HugePages {
            before: Some(count),
        };
        (read(Self::FREE)? >= pages).then_some(reserved)
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            let _ = std::fs::write(Self::COUNT, before.to_string());
        }
    }
}
