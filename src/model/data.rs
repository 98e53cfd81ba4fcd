//! Files that a scenario names, already read and split by the command line; the model itself touches no file.

use std::collections::BTreeMap;

/// Tables by file name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Data {
    files: BTreeMap<String, Table>,
}

/// A CSV file: header and rows of text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// Column names.
    pub header: Vec<String>,
    /// Rows, each as long as the header.
    pub rows: Vec<Vec<String>>,
}

impl Data {
    /// Adds a file.
    pub fn insert(&mut self, file: &str, table: Table) {
        self.files.insert(file.to_owned(), table);
    }

    /// All content as one text, for digests.
    pub fn fingerprint(&self) -> String {
        let mut text = String::new();
        for (name, table) in &self.files {
            text.push_str(name);
            for row in std::iter::once(&table.header).chain(&table.rows) {
                text.push('\n');
                text.push_str(&row.join(","));
            }
        }
        text
    }

    /// A file by name.
    ///
    /// # Errors
    /// Says that the file was not given.
    pub fn table(&self, file: &str) -> Result<&Table, String> {
        self.files.get(file).ok_or_else(|| format!("the file \"{file}\" was not read"))
    }

    /// A column as numbers.
    ///
    /// # Errors
    /// Says which file, column or line is wrong.
    pub fn column(&self, file: &str, column: &str) -> Result<Vec<f64>, String> {
        let table = self.table(file)?;
        let at = table.column(column).ok_or_else(|| {
            format!("\"{file}\" has no column \"{column}\"; it has {}", table.header.join(", "))
        })?;
        let number = |(i, row): (usize, &Vec<String>)| {
            let text = row.get(at).map_or("", String::as_str);
            let value = text.trim().parse::<f64>().ok().filter(|v| v.is_finite());
            value.ok_or_else(|| {
                format!(
                    "\"{file}\" line {}: \"{text}\" in column \"{column}\" is not a number",
                    i + 2
                )
            })
        };
        table.rows.iter().enumerate().map(number).collect()
    }
}

impl Table {
    /// Index of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }
}
