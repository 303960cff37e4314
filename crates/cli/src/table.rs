//! Tables for people: plain text, columns as wide as their widest cell.

/// On which side of its column a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows of cells; the first row holds the heads.
#[derive(Debug)]
pub struct Table {
    sides: Vec<Side>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table whose columns all stand on the left.
    #[must_use]
    pub fn new(heads: &[&str]) -> Self {
        Self::aligned(heads.iter().map(|head| ((*head).to_owned(), Side::Left)))
    }

    /// A table with a side for each column.
    pub fn aligned(heads: impl IntoIterator<Item = (String, Side)>) -> Self {
        let (heads, sides) = heads.into_iter().unzip();
        Self { sides, rows: vec![heads] }
    }

    /// Adds a row. A row with fewer cells than there are heads ends early; what is over is not shown.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().take(self.sides.len()).collect());
    }

    /// The table as lines, without spaces at their ends.
    #[must_use]
    pub fn text(&self) -> String {
        let cell = |row: &[String], column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
        let width = |column: usize| self.rows.iter().map(|row| cell(row, column)).max().unwrap_or(0);
        let columns: Vec<(Side, usize)> = self.sides.iter().copied().zip((0..).map(width)).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&columns).map(|(cell, &(side, width))| match side {
                Side::Left => format!("{cell:<width$}"),
                Side::Right => format!("{cell:>width$}"),
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_on_their_side_and_lines_have_no_tail() {
        let mut table = Table::aligned([("WHAT".to_owned(), Side::Left), ("N".to_owned(), Side::Right)]);
        table.row(["requests", "8"].map(str::to_owned));
        table.row(["é", "1024", "too much"].map(str::to_owned));
        table.row(["alone".to_owned()]);
        assert_eq!(table.text(), "WHAT         N\nrequests     8\né         1024\nalone");
        assert_eq!(Table::new(&["A", "B"]).text(), "A  B");
    }
}
