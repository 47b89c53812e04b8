"""Candidates on one table: trained and measured in turn, searched for, kept on a leaderboard."""
