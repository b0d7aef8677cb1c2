//! Tables as kubectl prints them.

use std::fmt::Write as _;

/// Space between columns.
const GAP: usize = 3;

/// How a cell is coloured, where colours are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// As it is.
    #[default]
    Plain,
    /// As wanted.
    Good,
    /// On its way, or worth a look.
    Attention,
    /// Needs somebody.
    Bad,
}

impl Style {
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Good => Some("32"),
            Self::Attention => Some("33"),
            Self::Bad => Some("31"),
        }
    }
}

/// One cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// What it says; `<none>` when empty.
    pub text: String,
    /// Its colour.
    pub style: Style,
}

impl Cell {
    /// A coloured cell.
    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        Self {
            text: text.into(),
            style,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(text, Style::Plain)
    }
}

/// A table. The widths stay when rows follow later, so that a watched table keeps its shape.
#[derive(Clone, Debug)]
pub struct Table {
    headers: Vec<&'static str>,
    widths: Vec<usize>,
    rows: Vec<Vec<Cell>>,
    colored: bool,
}

impl Table {
    /// An empty table.
    pub fn new(headers: &[&'static str], colored: bool) -> Self {
        Self {
            headers: headers.to_vec(),
            widths: headers.iter().map(|h| h.chars().count()).collect(),
            rows: Vec::new(),
            colored,
        }
    }

    /// Adds a row; its cells follow the headers.
    pub fn row(&mut self, cells: Vec<Cell>) {
        let cells: Vec<Cell> = cells.into_iter().map(or_none).collect();
        for (width, cell) in self.widths.iter_mut().zip(&cells) {
            *width = (*width).max(cell.text.chars().count());
        }
        self.rows.push(cells);
    }

    /// The whole text.
    pub fn render(&self) -> String {
        let headers: Vec<Cell> = self.headers.iter().map(|h| Cell::from(*h)).collect();
        let mut text = self.line(&headers);
        for row in &self.rows {
            text.push_str(&self.line(row));
        }
        text
    }

    /// One row for a table that is on the screen already.
    pub fn render_row(&self, cells: Vec<Cell>) -> String {
        self.line(&cells.into_iter().map(or_none).collect::<Vec<_>>())
    }

    fn line(&self, cells: &[Cell]) -> String {
        let mut line = String::new();
        for (at, cell) in cells.iter().enumerate() {
            let width = self.widths.get(at).copied().unwrap_or(0);
            let padding = width.saturating_sub(cell.text.chars().count()) + GAP;
            let code = cell.style.code().filter(|_| self.colored);
            let _ = match code {
                Some(code) => write!(line, "\x1b[{code}m{}\x1b[0m", cell.text),
                None => write!(line, "{}", cell.text),
            };
            if at + 1 < cells.len() {
                line.extend(std::iter::repeat_n(' ', padding));
            }
        }
        line.push('\n');
        line
    }
}

fn or_none(cell: Cell) -> Cell {
    if cell.text.is_empty() {
        return Cell::styled("<none>", cell.style);
    }
    cell
}

/// An age as kubectl prints it: two units at most.
pub fn age(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        () if hours < 3 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if days < 8 => two(days, "d", hours % 24, "h"),
        () if days < 730 => format!("{days}d"),
        () => two(days / 365, "y", days % 365, "d"),
    }
}

fn two(major: i64, major_unit: &str, minor: i64, minor_unit: &str) -> String {
    if minor == 0 {
        return format!("{major}{major_unit}");
    }
    format!("{major}{major_unit}{minor}{minor_unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_empty_cells_say_none() {
        let mut table = Table::new(&["NAME", "STATE"], false);
        table.row(vec!["openshift-dns".into(), "Settled".into()]);
        table.row(vec!["a".into(), "".into()]);
        assert_eq!(
            table.render(),
            "NAME            STATE\nopenshift-dns   Settled\na               <none>\n"
        );
    }

    #[test]
    fn colours_do_not_shift_columns() {
        let mut table = Table::new(&["A", "B"], true);
        table.row(vec![Cell::styled("xx", Style::Bad), "y".into()]);
        assert_eq!(table.render(), "A    B\n\x1b[31mxx\x1b[0m   y\n");
    }

    #[test]
    fn ages_read_as_in_kubectl() {
        let texts: Vec<String> = [
            5, 119, 185, 600, 7_200, 14_400, 90_000, 200_000, 864_000, 70_000_000,
        ]
        .into_iter()
        .map(age)
        .collect();
        assert_eq!(
            texts,
            [
                "5s", "119s", "3m5s", "10m", "120m", "4h", "25h", "2d7h", "10d", "2y80d"
            ]
        );
    }
}
