//! Text tools for agents (classify, extract, summarize, rewrite) over `dyn Backend`.
