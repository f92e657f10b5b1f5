//! Results kept in the repository, under the day they were made.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::report::Report;

/// Writes `docs/benchmarks/DATE/forwarding.{json,md}` and returns the directory.
///
/// # Errors
/// Fails when the repository cannot be written.
pub fn write(report: &Report) -> Result<PathBuf> {
    let dir = crate::host::repository()
        .join("docs/benchmarks")
        .join(date(report.machine.time));
    std::fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    let json = serde_json::to_string_pretty(&report.json(false))?;
    let machine = &report.machine;
    let mut text = format!(
        "# Frames between two guests, {}\n\n{} x{}, {}, Linux {}; commit {}.\n\n",
        date(machine.time),
        machine.cpu,
        machine.cpus,
        machine.system,
        machine.kernel,
        machine.commit
    );
    for (name, what) in &machine.contenders {
        text += &format!("- {name}: {what}\n");
    }
    text += &format!(
        "\n```\n{}```\n\nAll single figures: `forwarding.json`.\n",
        report.table()
    );
    for (name, content) in [("forwarding.json", json + "\n"), ("forwarding.md", text)] {
        let path = dir.join(name);
        std::fs::write(&path, content).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(dir)
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
