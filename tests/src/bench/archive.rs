//! Results kept in the repository, under the day they were made.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::report::Report;
use super::svg;

/// Writes `docs/benchmarks/DATE/`: `bench.json`, `bench.md` and the pictures. Returns the
/// directory. What an earlier run of the same day has left there is written over.
///
/// # Errors
/// Fails when the repository cannot be written.
pub fn write(report: &Report) -> Result<PathBuf> {
    let day = date(report.machine.time);
    let dir = crate::host::repository().join("docs/benchmarks").join(&day);
    std::fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    let keep = |name: String, content: String| {
        let path = dir.join(name);
        std::fs::write(&path, content).with_context(|| format!("write {}", path.display()))
    };
    let json = serde_json::to_string_pretty(&report.json(false))?;
    keep("bench.json".into(), json + "\n")?;
    keep("bench.md".into(), text(report, &day))?;
    for plot in &report.plots {
        keep(format!("{}.svg", plot.file), svg::draw(plot))?;
    }
    Ok(dir)
}

fn text(report: &Report, day: &str) -> String {
    let mut text =
        format!("# Benchmarks of {day}\n\nHow each row is measured: [README](../README.md).\n\n");
    let machine = &report.machine;
    let lines = [
        ("processor", format!("{} x{}", machine.cpu, machine.cpus)),
        ("caches", machine.caches.join(", ")),
        (
            "hypervisor",
            machine.hypervisor.clone().unwrap_or_else(|| "none".into()),
        ),
        ("memory", format!("{} MiB", machine.memory_mib)),
        (
            "system",
            format!("{}, Linux {}", machine.system, machine.kernel),
        ),
        ("frequency governor", machine.governor.clone()),
        (
            "huge pages",
            format!(
                "{} of 2 MiB during the run; of shared memory: {}",
                machine.huge_pages, machine.shmem_thp
            ),
        ),
        (
            "cores",
            format!(
                "{} plays the guests, {} forwards",
                machine.driver_core, machine.forwarder_core
            ),
        ),
        ("commit", machine.commit.clone()),
    ];
    for (what, value) in lines {
        text += &format!("- {what}: {value}\n");
    }
    text += "\nWho took part:\n\n";
    for (name, what) in &machine.contenders {
        text += &format!("- {name}: {what}\n");
    }
    text += &format!("\n```\n{}```\n\n", report.table());
    for plot in &report.plots {
        text += &format!("![{}]({}.svg)\n\n", plot.title, plot.file);
    }
    text + "All single figures: [bench.json](bench.json).\n"
}

/// The day of a time in seconds since 1970, as `YYYY-MM-DD` in UTC.
fn date(time: u64) -> String {
    // Days are counted from 1 March of year 0, so that the leap day is the last of its year.
    let days = time / 86_400 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates() {
        assert_eq!(super::date(0), "1970-01-01");
        assert_eq!(super::date(951_782_400), "2000-02-29");
        assert_eq!(super::date(1_735_689_599), "2024-12-31");
        assert_eq!(super::date(4_107_542_400), "2100-03-01");
    }
}
