//! A kernel for guests, as its packages lay it out.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// A kernel with its modules.
#[derive(Clone, Debug)]
pub struct Kernel {
    root: PathBuf,
    release: String,
}

impl Kernel {
    /// The newest kernel of the unpacked packages below `root`.
    ///
    /// # Errors
    /// If there is none.
    pub fn in_tree(root: &Path) -> Result<Self> {
        let modules = root.join("usr/lib/modules");
        let mut releases: Vec<String> = fs::read_dir(&modules)
            .with_context(|| format!("read {}", modules.display()))?
            .filter_map(|e| e.ok()?.file_name().into_string().ok())
            .collect();
        releases.sort();
        let release = releases
            .pop()
            .with_context(|| format!("no kernel in {}", modules.display()))?;
        let root = root.to_owned();
        let kernel = Kernel { root, release };
        if !kernel.image().is_file() {
            bail!("no kernel image {}", kernel.image().display());
        }
        Ok(kernel)
    }

    /// What `uname -r` says.
    #[must_use]
    pub fn release(&self) -> &str {
        &self.release
    }

    /// What a boot loader loads.
    #[must_use]
    pub fn image(&self) -> PathBuf {
        let beside_modules = self.modules().join("vmlinuz");
        if beside_modules.is_file() {
            return beside_modules;
        }
        self.root
            .join("boot")
            .join(format!("vmlinuz-{}", self.release))
    }

    /// Where its modules lie.
    #[must_use]
    pub fn modules(&self) -> PathBuf {
        self.root.join("usr/lib/modules").join(&self.release)
    }
}
