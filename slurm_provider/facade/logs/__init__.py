"""What jobs print, on its way from one reading of a job's files to all who follow the job."""
