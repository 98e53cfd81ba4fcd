//! Results to bytes: table, JSON, CSV, Markdown, charts. Pure: data in, bytes out.
