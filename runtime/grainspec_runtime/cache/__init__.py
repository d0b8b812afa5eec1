"""What is kept between runs, and where an interrupted run stands."""
