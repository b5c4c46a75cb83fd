#!/bin/sh
# Encode a large file with several workers. Here both run on this machine; on a cluster each is a job of its own:
#   Slurm       sbatch --array=1-64 --wrap 'textvae encode corpus.txt --out z.npy --part $SLURM_ARRAY_TASK_ID/64'
#   Kubernetes  completionMode: Indexed, completions: 64, and --part $((JOB_COMPLETION_INDEX + 1))/64
# A job that was killed is submitted again: it makes what is missing. The last command joins the parts.
set -e
file=$1 out=$2 model=${3:-tatoeba}
textvae="${PYTHON:-python3} -m textvae_cli"
workers=
for part in 1/2 2/2; do
  $textvae encode "$file" --model "$model" --out "$out" --part $part &
  workers="$workers $!"
done
for worker in $workers; do wait "$worker"; done
$textvae encode "$file" --model "$model" --out "$out"
