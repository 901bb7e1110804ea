"""The paper's claims, judged by a leaderboard's tests."""
