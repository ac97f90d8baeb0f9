//! The table of `docs/encode-settings.md`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::judge::WORDS;
use super::rows::ROWS;
use super::run::{ENCODERS, Encoder};

const BEGIN: &str = "<!-- written by tests/encode_settings: begin -->\n";
const END: &str = "<!-- written by tests/encode_settings: end -->\n";

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/encode-settings.md")
}

/// The cells as they are on the page: for each row one for each encoder.
fn read() -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(page()).unwrap();
    let (_, rest) = text.split_once(BEGIN).unwrap();
    let (table, _) = rest.split_once(END).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The cells of the rows that there are; those that are not known are empty.
fn cells() -> Vec<Vec<String>> {
    let known = read();
    let names = |row: &super::rows::Row| [format!("`{}`", row.setting), row.value.to_owned()];
    let row = |row| {
        let names = names(row);
        let old = known.iter().find(|old| old.len() == 2 + ENCODERS.len() && old[..2] == names);
        old.map_or_else(|| vec![String::new(); ENCODERS.len()], |old| old[2..].to_vec())
    };
    ROWS.iter().map(row).collect()
}

fn write(cells: &[Vec<String>]) {
    let text = std::fs::read_to_string(page()).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let mut table = format!("{} settings, {} encoders.\n\n", ROWS.len(), ENCODERS.len());
    let names: Vec<_> = ENCODERS.iter().map(|encoder| encoder.name).collect();
    writeln!(table, "| setting | tried with | {} |", names.join(" | ")).unwrap();
    writeln!(table, "|{}", "---|".repeat(2 + names.len())).unwrap();
    for (row, cells) in ROWS.iter().zip(cells) {
        writeln!(table, "| `{}` | {} | {} |", row.setting, row.value, cells.join(" | ")).unwrap();
    }
    std::fs::write(page(), format!("{before}{BEGIN}\n{table}\n{END}{after}")).unwrap();
}

/// Holds a column against the page, or writes it there.
pub(crate) fn check(encoder: &Encoder, column: &[&'static str]) {
    static PAGE: Mutex<()> = Mutex::new(());
    assert_eq!(column.len(), ROWS.len());
    let silent: Vec<_> =
        ROWS.iter().zip(column).filter(|(_, cell)| cell.is_empty()).map(|(row, _)| row.setting).collect();
    assert!(silent.is_empty(), "{} ignores in silence: {}", encoder.name, silent.join(", "));
    let at = ENCODERS.iter().position(|other| other.name == encoder.name).unwrap();
    let _alone = PAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut cells = cells();
    if std::env::var_os("VIDEO_HW_WRITE_TABLE").is_some() {
        for (cells, cell) in cells.iter_mut().zip(column) {
            cells[at] = (*cell).to_owned();
        }
        return write(&cells);
    }
    // Another version of ffmpeg may show in the stream what this one is only told.
    let same = |page: &str, found: &str| {
        let applied = |word: &str| matches!(word, "output" | "told");
        page == found || encoder.child.is_some() && applied(page) && applied(found)
    };
    let mut wrong = String::new();
    for ((row, cells), found) in ROWS.iter().zip(&cells).zip(column) {
        if !same(&cells[at], found) {
            writeln!(wrong, "{}: {:?} on the page, {found:?} found", row.setting, cells[at]).unwrap();
        }
    }
    assert!(
        wrong.is_empty(),
        "{} on {}:\n{wrong}VIDEO_HW_WRITE_TABLE=1 cargo test --workspace --all-features --test encode_settings writes it",
        encoder.name,
        page().display()
    );
}

#[test]
fn no_cell_of_the_page_is_empty() {
    if std::env::var_os("VIDEO_HW_WRITE_TABLE").is_some() {
        return;
    }
    assert_eq!(read().len(), ROWS.len(), "rows");
    for (row, cells) in ROWS.iter().zip(cells()) {
        for (encoder, cell) in ENCODERS.iter().zip(cells) {
            assert!(WORDS.contains(&cell.as_str()), "{}, {}: {cell:?}", row.setting, encoder.name);
        }
    }
}
