//! temp
mod relay;
