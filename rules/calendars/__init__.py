"""The frozen tables of days, one per country, and the script that writes them."""
