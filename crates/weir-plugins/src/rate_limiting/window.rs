//! Windows of time, which begin where the calendar does (UTC).

/// A window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Window {
    Second,
    Minute,
    Hour,
    Day,
    Month,
    Year,
}

impl Window {
    /// How long it is taken to be. Months and years are of one length here, as they are in Kong.
    pub(super) fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
            Self::Month => 2_592_000,
            Self::Year => 31_536_000,
        }
    }

    /// The number of the window that this moment is in. The next window's is greater by one.
    pub(super) fn number(self, now_ms: u64) -> u32 {
        let seconds = now_ms / 1000;
        let number = match self {
            Self::Second | Self::Minute | Self::Hour | Self::Day => seconds / self.seconds(),
            Self::Month => {
                let (year, month, _) = civil(seconds);
                year * 12 + month - 1
            }
            Self::Year => civil(seconds).0,
        };
        number as u32
    }

    /// Seconds until the window is over, at least one.
    pub(super) fn reset_seconds(self, now_ms: u64) -> u64 {
        let seconds = now_ms / 1000;
        let since = match self {
            Self::Second | Self::Minute | Self::Hour | Self::Day => seconds % self.seconds(),
            Self::Month => (civil(seconds).2 - 1) * 86_400 + seconds % 86_400,
            Self::Year => {
                let (year, ..) = civil(seconds);
                seconds - days_before_year(year) * 86_400
            }
        };
        self.seconds().saturating_sub(since).max(1)
    }

    pub(super) fn limit_header(self) -> &'static str {
        match self {
            Self::Second => "X-RateLimit-Limit-Second",
            Self::Minute => "X-RateLimit-Limit-Minute",
            Self::Hour => "X-RateLimit-Limit-Hour",
            Self::Day => "X-RateLimit-Limit-Day",
            Self::Month => "X-RateLimit-Limit-Month",
            Self::Year => "X-RateLimit-Limit-Year",
        }
    }

    pub(super) fn remaining_header(self) -> &'static str {
        match self {
            Self::Second => "X-RateLimit-Remaining-Second",
            Self::Minute => "X-RateLimit-Remaining-Minute",
            Self::Hour => "X-RateLimit-Remaining-Hour",
            Self::Day => "X-RateLimit-Remaining-Day",
            Self::Month => "X-RateLimit-Remaining-Month",
            Self::Year => "X-RateLimit-Remaining-Year",
        }
    }
}

/// Year, month (from 1) and day (from 1) of a moment, in the proleptic Gregorian calendar (Howard Hinnant's
/// `civil_from_days`).
fn civil(seconds: u64) -> (u64, u64, u64) {
    let days = seconds / 86_400 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// Days from the epoch to the first of January of a year.
fn days_before_year(year: u64) -> u64 {
    let before = year - 1;
    before * 365 + before / 4 - before / 100 + before / 400 - 719_162
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAP_DAY: u64 = 1_709_208_000; // 2024-02-29T12:00:00Z
    const NEW_YEAR: u64 = 1_767_225_600; // 2026-01-01T00:00:00Z

    #[test]
    fn the_calendar() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(LEAP_DAY), (2024, 2, 29));
        assert_eq!(civil(NEW_YEAR - 1), (2025, 12, 31));
        assert_eq!(civil(NEW_YEAR), (2026, 1, 1));
        assert_eq!(days_before_year(1970), 0);
        assert_eq!(days_before_year(2026) * 86_400, NEW_YEAR);
    }

    #[test]
    fn windows_follow_each_other() {
        for window in [Window::Second, Window::Minute, Window::Hour, Window::Day, Window::Month, Window::Year]
        {
            let (before, after) = (window.number((NEW_YEAR - 1) * 1000), window.number(NEW_YEAR * 1000));
            assert_eq!(before + 1, after, "{window:?}");
        }
    }

    #[test]
    fn windows_end() {
        assert_eq!(Window::Minute.reset_seconds((NEW_YEAR + 59) * 1000 + 999), 1);
        assert_eq!(Window::Hour.reset_seconds(NEW_YEAR * 1000), 3600);
        assert_eq!(Window::Year.reset_seconds((NEW_YEAR + 10) * 1000), 31_536_000 - 10);
        assert_eq!(Window::Month.reset_seconds((NEW_YEAR + 86_400) * 1000), 2_592_000 - 86_400);
        // The 31st is beyond a month of thirty days.
        assert_eq!(Window::Month.reset_seconds((NEW_YEAR - 1) * 1000), 1);
    }
}
