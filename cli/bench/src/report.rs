//! Reports: what records say, in numbers, in words, and as pages.

pub(crate) mod against;
pub(crate) mod baseline;
mod chart;
pub(crate) mod files;
mod html;
mod markdown;
mod page;
pub(crate) mod pairs;
pub(crate) mod terminal;
mod words;

pub(crate) use page::Source;

#[cfg(test)]
pub(crate) mod samples;
